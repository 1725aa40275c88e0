//! The form for the network team at the other end: every value that both ends must share, what to
//! route and permit, and the configuration of a device of their vendor.

use std::fmt::Write as _;

use super::language as words;
use super::language::Words;
use super::tunnel::{CHILD_LIFE, DPD, IKE_LIFE, MSS, MTU};
use super::vendor::{self, Vendor};
use super::{Link, swanctl};

/// Width of the name column; Chinese characters take two columns.
const NAME: usize = 38;

/// The language of a form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Language {
    /// English
    En,
    /// Chinese
    Zh,
}

/// The form as it is written.
struct Form {
    language: Language,
    text: String,
}

pub(super) fn form(link: &Link<'_>, vendor: Vendor, language: Language) -> String {
    let mut form = Form {
        language,
        text: String::new(),
    };
    let title = words::TITLE.of(language);
    form.line(&format!("{title} {}", link.site));
    form.line(words::FOR.of(language));
    form.line(words::ANGLE.of(language));

    form.addresses(link);
    form.phase_1(link);
    form.phase_2(link);
    form.networks(link);
    form.permit();
    form.device(link, vendor);
    form.text
}

impl Form {
    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn section(&mut self, heading: &Words) {
        let heading = heading.of(self.language);
        _ = writeln!(self.text, "\n{heading}");
    }

    fn row(&mut self, name: &Words, value: &str) {
        self.named(name.of(self.language), value);
    }

    fn named(&mut self, name: &str, value: &str) {
        let blanks = NAME.saturating_sub(width(name)).max(1);
        _ = writeln!(self.text, "  {name}{}{value}", " ".repeat(blanks));
    }

    fn addresses(&mut self, link: &Link<'_>) {
        self.section(&words::ADDRESSES);
        self.row(&words::OUR_ADDRESS, &link.local);
        self.row(&words::OUR_IDENTITY, &link.local);

        for tunnel in &link.tunnels {
            let role = match tunnel.number {
                1 => words::ACTIVE,
                _ => words::STANDBY,
            };
            let name = words::YOUR_ADDRESS.of(self.language);
            let role = role.of(self.language);
            let name = format!("{name} {} ({role})", tunnel.number);
            self.named(&name, &tunnel.peer);
        }
        let same = words::SAME_AS_ADDRESS.of(self.language);
        self.row(&words::YOUR_IDENTITY, same);
    }

    fn phase_1(&mut self, link: &Link<'_>) {
        let language = self.language;
        let seconds = words::SECONDS.of(language);
        let authentication = if link.certificate {
            words::CERTIFICATE
        } else {
            words::PSK
        };

        self.section(&words::PHASE_1);
        self.row(&words::VERSION, words::ONLY_V2.of(language));
        self.row(&words::INITIATOR, words::WE_DO.of(language));
        self.row(&words::ENCRYPTION, "AES-256-CBC");
        self.row(&words::INTEGRITY, "HMAC-SHA2-256 (128)");
        self.row(&words::PRF, "HMAC-SHA2-256");
        self.row(&words::GROUP, "14 (2048-bit MODP)");
        self.row(&words::LIFE, &format!("{IKE_LIFE} {seconds}"));
        self.row(&words::AUTHENTICATION, authentication.of(language));
        let every = words::DPD_EVERY.of(language);
        self.row(&words::DPD, &format!("{DPD} {every}"));
        self.row(&words::NAT, words::NAT_ON.of(language));
    }

    fn phase_2(&mut self, link: &Link<'_>) {
        let seconds = words::SECONDS.of(self.language);

        self.section(&words::PHASE_2);
        self.row(&words::PROTOCOL, words::ESP.of(self.language));
        self.row(&words::ENCRYPTION, "AES-256-CBC");
        self.row(&words::INTEGRITY, "HMAC-SHA2-256 (128)");
        self.row(&words::PFS, "14 (2048-bit MODP)");
        self.row(&words::LIFE, &format!("{CHILD_LIFE} {seconds}"));
        self.row(&words::YOUR_SELECTOR, &link.their_selectors());
        self.row(&words::OUR_SELECTOR, &link.our_selectors());
        self.row(&words::MTU, &format!("{MTU}, {MSS}"));
    }

    fn networks(&mut self, link: &Link<'_>) {
        self.section(&words::NETWORKS);
        let theirs: Vec<String> = link.theirs.iter().map(ToString::to_string).collect();
        self.row(&words::YOURS, &theirs.join(", "));

        self.line(&format!("  {}", words::ROUTES.of(self.language)));
        for network in &link.ours {
            let owner = format!("{} {}", network.member.org, network.site.name);
            _ = writeln!(self.text, "    {:<34}{owner}", network.prefix.to_string());
        }
    }

    fn permit(&mut self) {
        self.section(&words::PERMIT);
        for what in [words::PERMIT_IKE, words::PERMIT_NETWORKS, words::FRAGMENTS] {
            self.line(&format!("  {}", what.of(self.language)));
        }
    }

    fn device(&mut self, link: &Link<'_>, vendor: Vendor) {
        let heading = words::DEVICE.of(self.language);
        _ = writeln!(self.text, "\n{heading}: {}", vendor.name());

        let (remark, text) = match vendor.template() {
            None => (words::TRIED, swanctl::there(link)),
            Some(template) => (words::NOT_TRIED, vendor::fill(template, link)),
        };
        self.line(remark.of(self.language));
        self.text.push_str(&text);
    }
}

/// Width on a terminal: Chinese characters and punctuation take two columns.
fn width(text: &str) -> usize {
    let wide = text.chars().filter(|character| *character >= '\u{1100}');

    text.chars().count() + wide.count()
}
