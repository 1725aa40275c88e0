//! [`Answer`]: a response as sets of text lines, for comparing servers.

use std::collections::BTreeSet;

use hickory_proto::op::Message;
use hickory_proto::rr::{RData, Record, RecordType};
use ringway_dns::{Name, rdata};

/// Records as lowercase text.
pub(crate) type Section = BTreeSet<String>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) rcode: String,
    pub(crate) authoritative: bool,
    pub(crate) answer: Section,
    pub(crate) authority: Section,
    /// Without the OPT record.
    pub(crate) additional: Section,
}

impl Answer {
    /// Parses a response.
    pub(crate) fn read(response: &[u8]) -> Answer {
        let message = Message::from_vec(response).unwrap();
        let section = |records: &[Record]| records.iter().map(record_text).collect::<Section>();
        Answer {
            rcode: format!("{:?}", message.metadata.response_code).to_uppercase(),
            authoritative: message.metadata.authoritative,
            answer: section(&message.answers),
            authority: section(&message.authorities),
            additional: section(&message.additionals),
        }
    }
}

fn record_text(record: &Record) -> String {
    let data = match &record.data {
        RData::Unknown {
            code: RecordType::DNAME,
            rdata,
        } => {
            format!("{}.", Name::from_wire(&rdata.anything).unwrap().0)
        }
        RData::TXT(text) => {
            let quoted = |part: &[u8]| format!("\"{}\"", String::from_utf8_lossy(part));
            text.txt_data
                .iter()
                .map(|part| quoted(part))
                .collect::<Vec<_>>()
                .join(" ")
        }
        known => known.to_string(),
    };
    let kind = match u16::from(record.record_type()) {
        rdata::kind::DNAME => "dname".to_owned(),
        _ => record.record_type().to_string(),
    };
    format!("{} {} in {kind} {data}", record.name, record.ttl).to_lowercase()
}
