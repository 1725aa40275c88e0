//! Serves one zone file: `serve ADDRESS ZONE_FILE`, such as `serve 127.0.0.1:5300 zone.txt`.
//! Answers loopback only, without a rate limit; for measurements (`tests/bench/dns`) and trials.

use std::error::Error;
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use ringway_dns::{Acl, Options, Rate, Server, Zone, Zones};
use tokio_util::sync::CancellationToken;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, file] = &arguments[..] else {
        return Err("usage: serve ADDRESS ZONE_FILE".into());
    };
    let zone = Zone::from_text(&std::fs::read_to_string(file)?, None)
        .map_err(|faults| format!("{faults:?}"))?;
    let zones = Arc::new(Zones::new());
    zones.set_expected(&zone.apex().to_string().parse()?, &[]);
    zones.publish(zone, SystemTime::now())?;
    let acl = Acl::new(["127.0.0.0/8".parse()?, "::1/128".parse()?]);
    let acl = Arc::new(ArcSwap::from_pointee(acl));
    let options = Options {
        rate: Arc::new(ArcSwap::from_pointee(Rate::of(0, 0))),
        ..Options::default()
    };
    let server = Server::bind_with(&[address.parse()?], zones, acl, options).await?;
    println!("serving {file} on {address}");
    server.run(CancellationToken::new()).await;
    Ok(())
}
