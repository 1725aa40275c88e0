//! [`upgrade`]: a member record of version 1 as one of version 2. Everything else in the text stays
//! as it is, comments included.

use std::ops::Range;
use std::path::Path;

use toml::de::DeTable;

use crate::{Faults, Member};

/// Why a record was not upgraded.
#[derive(Debug, thiserror::Error)]
pub enum UpgradeError {
    /// It is no sound record.
    #[error(transparent)]
    Faults(#[from] Faults),
    /// It is of version 2 already.
    #[error("is of version 2 already, with serial {0}")]
    Upgraded(u64),
}

/// The text of the record `text`, of version 1, in version 2 with this serial. `file` names the
/// file in faults.
pub fn upgrade(text: &str, file: &Path, serial: u64) -> Result<String, UpgradeError> {
    let member = Member::parse(text, file)?;
    if member.serial > 0 {
        return Err(UpgradeError::Upgraded(member.serial));
    }

    let mut upgraded = text.to_owned();
    if !upgraded.ends_with('\n') {
        upgraded.push('\n');
    }
    upgraded.push_str("\n# The last line: without it, the file is not whole.\n[end]\n");
    // A record that was read has a version.
    if let Some(version) = version(text) {
        upgraded.replace_range(version, &format!("2\nserial = {serial}"));
    }

    // Texts are strange: what comes out must be the same record.
    Member::parse(&upgraded, file)?;
    Ok(upgraded)
}

/// Where the version's number stands.
fn version(text: &str) -> Option<Range<usize>> {
    let document = DeTable::parse(text).ok()?;
    let (_, version) = document
        .get_ref()
        .iter()
        .find(|(name, _)| name.get_ref() == "version")?;

    Some(version.span())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "# A comment\nversion = 0x1 # of the format\norg = \"acme\"\n\
        domain = \"consortium.example\"\n\
        ca = \"-----BEGIN CERTIFICATE-----\\nMIIB\\n-----END CERTIFICATE-----\\n\"\n\
        [revoked]\ngateways = [\"gw2\"]";

    #[test]
    fn an_upgraded_record_says_the_same_and_keeps_its_comments() {
        let file = Path::new("acme.member.toml");
        let text = upgrade(OLD, file, 7).unwrap();
        assert!(text.starts_with("# A comment\nversion = 2\nserial = 7 # of the format\n"));
        let before = Member::parse(OLD, file).unwrap();
        let after = Member::parse(&text, file).unwrap();
        assert_eq!((before.serial, after.serial), (0, 7));
        assert_eq!(before.revoked, after.revoked);
        assert_eq!(before.roots.len(), after.roots.len());

        assert!(matches!(
            upgrade(&text, file, 8),
            Err(UpgradeError::Upgraded(7))
        ));
        assert!(matches!(
            upgrade("version = 1\n", file, 1),
            Err(UpgradeError::Faults(_))
        ));
    }
}
