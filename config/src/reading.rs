//! [`open`], [`read`]: read files that other programs may have created. A named pipe is refused:
//! opening it would wait for its writer, and block a start or a reload.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;

use nix::fcntl::OFlag;

use crate::limits;

/// Opens `path` to read it. An error if it is a named pipe; what the shell hands over with `<(…)`,
/// and a pipe at the standard input, are read.
pub fn open(path: &Path) -> io::Result<File> {
    // Waits for no writer of a pipe; without effect on a regular file.
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(OFlag::O_NONBLOCK.bits())
        .open(path)?;

    let kind = file.metadata()?.file_type();
    if kind.is_file() || kind.is_dir() {
        return Ok(file);
    }
    if kind.is_fifo() && has_name(&file) {
        let message = "it is a named pipe, which may never end";
        return Err(io::Error::other(message));
    }
    // Somebody writes to it, or it is a device: its bytes are waited for.
    File::open(path)
}

/// The bytes of a file of at most 1 MiB, as much as one that is written by hand can have.
pub fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // One byte more than is allowed shows that a file is too large, or a device endless.
    open(path)?
        .take(limits::FILE_BYTES as u64 + 1)
        .read_to_end(&mut bytes)?;

    if bytes.len() > limits::FILE_BYTES {
        let message = "it is larger than 1 MiB";
        return Err(io::Error::new(ErrorKind::FileTooLarge, message));
    }
    Ok(bytes)
}

/// The bytes of a file that the daemon has written itself, however many.
pub fn read_own(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// [`read`], of a file that is text.
pub fn read_text(path: &Path) -> io::Result<String> {
    let text = String::from_utf8(read(path)?);

    text.map_err(|_| io::Error::new(ErrorKind::InvalidData, "it is no UTF-8 text"))
}

/// True for a pipe in a directory: others have no path, but for the one of their descriptor.
fn has_name(pipe: &File) -> bool {
    let link = fs::read_link(format!("/proc/self/fd/{}", pipe.as_raw_fd()));

    !link.is_ok_and(|name| name.as_os_str().as_encoded_bytes().starts_with(b"pipe:"))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::path::PathBuf;
    use std::{process, thread};

    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    use super::*;
    use crate::{Config, Member};

    /// A named pipe to which somebody writes as soon as it is read.
    fn named_pipe(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("ringway-{name}-{}", process::id()));
        _ = fs::remove_file(&path);
        mkfifo(&path, Mode::S_IRWXU).unwrap();

        // A reader that waits for a writer gets an empty file, and another fault than expected.
        let writer = path.clone();
        thread::spawn(move || OpenOptions::new().write(true).open(writer));
        path
    }

    #[test]
    fn a_named_pipe_is_refused_wherever_a_file_is_read() {
        let path = named_pipe("pipe");
        let faults = [
            Config::load(&path).unwrap_err(),
            Member::load(&path).unwrap_err(),
            crate::socket_of(&path).unwrap_err(),
        ];
        let text = read_text(&path).unwrap_err();
        let own = read_own(&path).unwrap_err();
        fs::remove_file(&path).unwrap();

        for fault in faults {
            let fault = fault.to_string();
            assert!(fault.contains("it is a named pipe"), "{fault}");
        }
        assert_eq!(text.to_string(), "it is a named pipe, which may never end");
        assert_eq!(own.to_string(), text.to_string());
    }

    #[test]
    fn a_pipe_without_a_name_is_read() {
        let (reader, mut writer) = io::pipe().unwrap();
        writer.write_all(b"text").unwrap();
        drop(writer);

        let path = format!("/proc/self/fd/{}", reader.as_raw_fd());
        assert_eq!(read_text(Path::new(&path)).unwrap(), "text");
    }

    #[test]
    fn an_endless_file_is_refused() {
        let error = read_text(Path::new("/dev/zero")).unwrap_err();
        assert_eq!(error.to_string(), "it is larger than 1 MiB");
    }
}
