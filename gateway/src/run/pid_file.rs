//! [`PidFile`]: a file with this process's id, for programs that send it signals.

use std::fs;
use std::path::{Path, PathBuf};
use std::process;

use anyhow::Context as _;

/// Removed when dropped, unless another process has written its own id.
pub(super) struct PidFile {
    path: PathBuf,
    text: String,
}

impl PidFile {
    /// Writes `path`. Replaces the file that a killed process has left.
    pub(super) fn write(path: &Path) -> anyhow::Result<PidFile> {
        let text = format!("{}\n", process::id());
        fs::write(path, &text).with_context(|| format!("cannot write {}", path.display()))?;

        Ok(PidFile {
            path: path.to_owned(),
            text,
        })
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // A second daemon may have been started with the same option.
        let is_ours = fs::read_to_string(&self.path).is_ok_and(|text| text == self.text);

        if is_ours {
            // If it cannot be removed, it names a process that no longer exists, as after a kill.
            _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_there_as_long_as_the_process_and_is_not_taken_from_another() {
        let path = std::env::temp_dir().join(format!("ringway-{}.pid", process::id()));
        fs::write(&path, "1 left by a killed one").unwrap();

        let file = PidFile::write(&path).unwrap();
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            format!("{}\n", process::id())
        );
        drop(file);
        assert!(!path.exists());

        let file = PidFile::write(&path).unwrap();
        fs::write(&path, "1\n").unwrap();
        drop(file);
        assert!(path.exists(), "another process's");
        fs::remove_file(&path).unwrap();
    }
}
