//! [`Workspace`]: a temporary directory in which a test runs `ringway` and examines files.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

/// Removed when it is dropped.
pub(crate) struct Workspace {
    dir: PathBuf,
}

/// A program's output and exit code.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Workspace {
    pub(crate) fn new() -> Workspace {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("ringway-cli-{}-{count}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        Workspace { dir }
    }

    /// A workspace with the organizations acme (site east) and beta (site west), each in its
    /// directory.
    pub(crate) fn with_acme_and_beta() -> Workspace {
        let workspace = Workspace::new();
        workspace.init("acme", "--site east=10.211.0.0/16,fd00:211::/48");
        workspace.init(
            "beta",
            "--site west=10.212.0.0/16 --endpoint 203.0.113.5:4600",
        );
        workspace
    }

    /// Creates the organization `org` of consortium.example in the directory of its name.
    pub(crate) fn init(&self, org: &str, options: &str) {
        let domain = if options.contains("--domain") {
            ""
        } else {
            "--domain consortium.example"
        };
        self.ringway(&format!("org init {org} --dir {org} {domain} {options}"))
            .succeeds();
    }

    pub(crate) fn path(&self) -> &Path {
        &self.dir
    }

    /// Runs `ringway` with these words as arguments.
    pub(crate) fn ringway(&self, arguments: &str) -> Answer {
        self.run(Path::new(env!("CARGO_BIN_EXE_ringway")), arguments)
    }

    /// Adds a record to acme's members, with the fingerprint that it has.
    pub(crate) fn add(&self, record: &str) -> Answer {
        let fingerprint = self.fingerprint(record);
        self.ringway(&format!(
            "member add {record} -c acme/gateway.toml --fingerprint {fingerprint}"
        ))
    }

    /// Runs `openssl`, which must succeed.
    pub(crate) fn openssl(&self, arguments: &str) {
        let answer = self.run(Path::new("openssl"), arguments);
        assert_eq!(answer.code, 0, "openssl {arguments}: {}", answer.err);
    }

    /// Copies the program under test to `dir/ringway`, away from what is built beside it.
    pub(crate) fn install_ringway(&self, dir: &str) -> PathBuf {
        fs::create_dir_all(self.dir.join(dir)).unwrap();
        let program = format!("{dir}/ringway");
        self.install(env!("CARGO_BIN_EXE_ringway"), &program);
        self.dir.join(program)
    }

    /// Copies `from` to the executable file `to`.
    pub(crate) fn install(&self, from: &str, to: &str) {
        // In a process of its own: a file that this process has open for writing cannot be executed
        // while a child that another test has just forked still holds the descriptor (ETXTBSY).
        let answer = self.run(Path::new("install"), &format!("-m 755 {from} {to}"));
        assert_eq!(answer.code, 0, "install {from} {to}: {}", answer.err);
    }

    pub(crate) fn run(&self, program: &Path, arguments: &str) -> Answer {
        let mut command = Command::new(program);
        command
            .args(arguments.split_whitespace())
            .current_dir(&self.dir)
            .env_remove("RINGWAY_LOG");
        command.output().unwrap().into()
    }

    /// Runs a shell script in an empty network namespace, with the program as `$ringway`.
    pub(crate) fn offline(&self, script: &str) -> Answer {
        let mut command = Command::new("unshare");
        command
            .args(["--net", "sh", "-ec", script])
            .current_dir(&self.dir);
        command
            .env("ringway", env!("CARGO_BIN_EXE_ringway"))
            .env_remove("RINGWAY_LOG");
        command.output().unwrap().into()
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.dir.join(name)).unwrap()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.dir.join(name), text).unwrap();
    }

    /// The place of the first `text` in a file, as in faults: a string begins with its quote.
    pub(crate) fn place(&self, name: &str, text: &str) -> String {
        let content = self.read(name);
        let mut lines = content.lines().zip(1..);
        // New files have examples as comments.
        let found = lines.find(|(line, _)| line.contains(text) && !line.starts_with('#'));
        let (line, number) = found.unwrap();
        let offset = line.find(text).unwrap();
        let column = if line.contains('"') {
            offset
        } else {
            offset + 1
        };
        format!("{name}:{number}:{column}")
    }

    /// Replaces every `old` in a file by `new`; there must be at least one.
    pub(crate) fn edit(&self, name: &str, old: &str, new: &str) {
        let text = self.read(name);
        assert!(text.contains(old), "{name} has no {old:?}");
        self.write(name, &text.replace(old, new));
    }

    /// Writes the lines of a state file that ends with their digest.
    pub(crate) fn write_state(&self, name: &str, lines: &str) {
        fs::create_dir_all(self.dir.join(name).parent().unwrap()).unwrap();
        self.write(name, lines);
        let digest = self.fingerprint(name);
        self.write(name, &format!("{lines}end {digest}\n"));
    }

    /// Raises the serial of a record from 1, as the commands do that change one.
    pub(crate) fn set_serial(&self, name: &str, serial: u64) {
        self.edit(name, "\nserial = 1 ", &format!("\nserial = {serial} "));
    }

    pub(crate) fn copy(&self, from: &str, to: &str) {
        fs::copy(self.dir.join(from), self.dir.join(to)).unwrap();
    }

    pub(crate) fn make_directory(&self, name: &str) {
        fs::create_dir(self.dir.join(name)).unwrap();
    }

    pub(crate) fn remove(&self, name: &str) {
        fs::remove_file(self.dir.join(name)).unwrap();
    }

    pub(crate) fn exists(&self, name: &str) -> bool {
        self.dir.join(name).exists()
    }

    pub(crate) fn mode(&self, name: &str) -> u32 {
        self.dir.join(name).metadata().unwrap().permissions().mode() & 0o777
    }

    pub(crate) fn set_mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.dir.join(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Paths of everything below a directory, relative to it, sorted.
    pub(crate) fn list(&self, dir: &str) -> Vec<String> {
        let mut found = Vec::new();
        walk(&self.dir.join(dir), "", &mut found);
        found.sort();
        found
    }

    /// A file's fingerprint, by `sha256sum`.
    pub(crate) fn fingerprint(&self, name: &str) -> String {
        let answer = self.run(Path::new("sha256sum"), name).succeeds();
        format!("sha256:{}", &answer.out[..64])
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.dir);
    }
}

impl From<Output> for Answer {
    fn from(output: Output) -> Answer {
        Answer {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Answer {
    #[track_caller]
    pub(crate) fn succeeds(self) -> Answer {
        assert_eq!((self.code, self.err.as_str()), (0, ""), "{}", self.out);
        self
    }

    /// The exit code is 64, and exactly these lines are on stderr.
    #[track_caller]
    pub(crate) fn refuses(self, lines: &[&str]) -> Answer {
        assert_eq!(self.err.lines().collect::<Vec<_>>(), lines);
        assert_eq!(self.code, 64);
        self
    }
}

fn walk(dir: &Path, prefix: &str, found: &mut Vec<String>) {
    let Ok(entries) = fs::read_dir(dir) else {
        return;
    };
    for entry in entries.map(Result::unwrap) {
        let name = format!("{prefix}{}", entry.file_name().into_string().unwrap());
        if entry.path().is_dir() {
            walk(&entry.path(), &format!("{name}/"), found);
            found.push(name + "/");
        } else {
            found.push(name);
        }
    }
}
