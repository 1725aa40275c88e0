//! [`Desk`]: a directory of its own, where `ringway` is run and files are looked at.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

/// Goes with its directory.
pub(crate) struct Desk {
    dir: PathBuf,
}

/// What a program said, and how it ended.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Desk {
    pub(crate) fn new() -> Desk {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("ringway-cli-{}-{count}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        Desk { dir }
    }

    /// With the organizations acme, at site east, and beta, at site west, each in its directory.
    pub(crate) fn with_acme_and_beta() -> Desk {
        let desk = Desk::new();
        desk.init("acme", "--site east=10.211.0.0/16,fd00:211::/48");
        desk.init(
            "beta",
            "--site west=10.212.0.0/16 --endpoint 203.0.113.5:4600",
        );
        desk
    }

    /// Makes the organization `org` of consortium.example in the directory of its name.
    pub(crate) fn init(&self, org: &str, options: &str) {
        let domain = if options.contains("--domain") {
            ""
        } else {
            "--domain consortium.example"
        };
        self.ringway(&format!("org init {org} --dir {org} {domain} {options}"))
            .succeeds();
    }

    /// Runs `ringway` with these words as arguments.
    pub(crate) fn ringway(&self, arguments: &str) -> Answer {
        self.run(Path::new(env!("CARGO_BIN_EXE_ringway")), arguments)
    }

    /// Runs `openssl`, which talks on stderr.
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

    /// Where `text` first stands in a file, as faults name places: a string begins with its quote.
    pub(crate) fn place(&self, name: &str, text: &str) -> String {
        let content = self.read(name);
        let find = |(number, line): (usize, &str)| {
            Some((number + 1, line.find(text)?, line.contains('"')))
        };
        let (line, column, quoted) = content.lines().enumerate().find_map(find).unwrap();
        format!("{name}:{line}:{}", if quoted { column } else { column + 1 })
    }

    /// Puts `new` for every `old` in a file; there must be some.
    pub(crate) fn edit(&self, name: &str, old: &str, new: &str) {
        let text = self.read(name);
        assert!(text.contains(old), "{name} has no {old:?}");
        self.write(name, &text.replace(old, new));
    }

    pub(crate) fn copy(&self, from: &str, to: &str) {
        fs::copy(self.dir.join(from), self.dir.join(to)).unwrap();
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

    /// Everything below a directory, sorted, by path from there.
    pub(crate) fn list(&self, dir: &str) -> Vec<String> {
        let mut found = Vec::new();
        walk(&self.dir.join(dir), "", &mut found);
        found.sort();
        found
    }

    /// A file's fingerprint, as `sha256sum` has it.
    pub(crate) fn fingerprint(&self, name: &str) -> String {
        let answer = self.run(Path::new("sha256sum"), name).succeeds();
        format!("sha256:{}", &answer.out[..64])
    }
}

impl Drop for Desk {
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

    /// Refused, with exactly these lines on stderr.
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
