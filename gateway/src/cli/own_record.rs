//! `OwnRecord`: this organization's record, for the verbs that change it. A change increments the
//! serial, is checked together with everything around it, and is written atomically or not at all.

mod change;
mod draft;
mod handing;
mod overlap;

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use ringway_config::defaults::STATE_DIR;
use ringway_config::{
    Config, Fault, Faults, Ledger as _, Member, Newest, Place, Survey, UpgradeError, reading,
    upgrade,
};

use super::{ConfigFile, Failure, remedy};

pub(super) use change::Change;
pub(super) use draft::Draft;
pub(super) use handing::hand_out;

/// The name of a gateway's file.
const CONFIG: &str = "gateway.toml";

/// Selects the record.
#[derive(Debug, clap::Args)]
pub struct RecordFile {
    /// The gateway
    #[command(flatten)]
    pub config: ConfigFile,
    /// The record, where there is no gateway.toml, such as beside the CA
    #[arg(long, value_name = "FILE", conflicts_with = "path")]
    pub record: Option<PathBuf>,
}

/// The record, with the files around it.
pub(super) struct OwnRecord {
    pub(super) path: PathBuf,
    pub(super) text: String,
    pub(super) member: Member,
    /// The serial of the next version.
    pub(super) serial: u64,
    /// The other organizations' records that could be read.
    pub(super) others: Vec<Member>,
    /// The gateway beside the record.
    pub(super) gateway: Option<LocalFiles>,
    /// The directory that records the newest records.
    state_dir: Option<PathBuf>,
}

/// The files of the gateway beside the record.
pub(super) struct LocalFiles {
    pub(super) path: PathBuf,
    /// Their content, or their faults.
    pub(super) config: Result<Config, Faults>,
}

impl OwnRecord {
    /// Reads the record that `file` selects. It must not be older than the newest one recorded.
    pub(super) fn load(file: &RecordFile) -> Result<OwnRecord, Failure> {
        match &file.record {
            Some(path) => OwnRecord::newest(path, Some(state_dir_beside(path))),
            None => OwnRecord::of_gateway(&file.config.path),
        }
    }

    /// Faults of other files do not matter: a revocation must not wait for them.
    fn of_gateway(config: &Path) -> Result<OwnRecord, Failure> {
        let survey = Survey::read(config, None);
        let Some(path) = survey.record else {
            let faults = Config::load(config).err().unwrap_or_default();
            return Err(faults.into());
        };

        let own = OwnRecord::newest(&path, survey.state_dir)?;
        let records = survey.records.into_iter();
        Ok(OwnRecord {
            others: records
                .filter(|other| other.org != own.member.org)
                .collect(),
            gateway: Some(LocalFiles {
                path: config.to_owned(),
                config: Config::load(config),
            }),
            ..own
        })
    }

    /// The record at `path`, without other files.
    fn newest(path: &Path, state_dir: Option<PathBuf>) -> Result<OwnRecord, Failure> {
        let (text, member) = read(path)?;
        let newest = match &state_dir {
            Some(dir) => Newest::load(dir).map_err(anyhow::Error::from)?,
            None => Newest::default(),
        };
        // Changing an older record would undo the changes of the newer ones.
        if let Some(fault) = newest.judge(&member).filter(|_| member.serial > 0) {
            return Err(Faults::from(vec![fault]).into());
        }

        let serial = newest.serial(&member.org).max(member.serial);
        Ok(OwnRecord {
            path: path.to_owned(),
            text,
            serial: serial.saturating_add(1),
            others: Vec::new(),
            member,
            gateway: None,
            state_dir,
        })
    }

    /// The directory of the record.
    pub(super) fn dir(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }

    /// The configuration of the gateway beside the record, if it is valid.
    pub(super) fn config(&self) -> Option<&Config> {
        self.gateway.as_ref()?.config.as_ref().ok()
    }

    /// The option by which a command selects the same record: ` -c FILE` or ` --record FILE`, or an
    /// empty text.
    pub(super) fn option(&self) -> String {
        match &self.gateway {
            Some(gateway) => remedy::option_text(&gateway.path),
            None => format!(
                " --record {}",
                remedy::quoted(&self.path.display().to_string())
            ),
        }
    }

    /// The directory that records the newest records, if it is known.
    fn state_dir(&self) -> Option<&Path> {
        self.state_dir.as_deref()
    }

    /// The record's text with the next serial, to be changed. A record of version 1 becomes version
    /// 2.
    pub(super) fn draft(&self) -> Result<Draft, Failure> {
        if self.member.serial > 0 {
            return Draft::of(&self.text, self.serial);
        }

        match upgrade(&self.text, &self.path, self.serial) {
            Ok(text) => Draft::of(&text, self.serial),
            Err(UpgradeError::Faults(faults)) => Err(faults.into()),
            Err(error) => Err(fault(&self.path, error.to_string())),
        }
    }
}

/// The state directory for a record without a configuration, as beside a CA: that of the gateway
/// beside it, if there is one, else the one that such a gateway would have.
fn state_dir_beside(record: &Path) -> PathBuf {
    let dir = record.parent().unwrap_or(Path::new(""));
    let config = dir.join(CONFIG);
    let of_gateway = config
        .exists()
        .then(|| Survey::read(&config, None).state_dir);

    of_gateway.flatten().unwrap_or_else(|| dir.join(STATE_DIR))
}

fn read(path: &Path) -> Result<(String, Member), Failure> {
    // First, because it reports a file that cannot be read or is too large.
    Member::load(path)?;
    let text =
        reading::read_text(path).with_context(|| format!("cannot read {}", path.display()))?;

    let member = Member::parse(&text, path)?;
    Ok((text, member))
}

/// The fault of a whole file.
pub(super) fn fault(path: &Path, message: impl Into<String>) -> Failure {
    Faults::from(vec![Fault {
        place: Place::whole(path),
        message: message.into(),
    }])
    .into()
}
