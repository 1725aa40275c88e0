//! The findings in a gateway's `status`.

use anyhow::bail;

use crate::Scene;
use crate::scene::eventually_ok;

/// Limit in seconds for a finding to be there, and to be over. What others have set is asked for
/// every ten seconds at least.
const LIMIT: u64 = 40;

/// The whole list of `gateway`, as JSON.
pub fn attention(scene: &Scene, gateway: &str) -> String {
    scene.status(gateway)["attention"].to_string()
}

/// The command that the finding `name` of `gateway` names. Waits for the finding.
pub fn remedy(scene: &Scene, gateway: &str, name: &str) -> String {
    eventually_ok("the finding", LIMIT, || {
        let status = scene.status(gateway);
        let list = status["attention"].as_array().cloned().unwrap_or_default();
        let found = list.iter().find(|item| item["name"] == name);
        match found.and_then(|item| item["remedy"].as_str()) {
            Some(remedy) => Ok(remedy.to_owned()),
            None => bail!("no {name:?} in {list:?}"),
        }
    })
}

/// Waits until nothing on the list of `gateway` contains `text`.
pub fn wait_until_over(scene: &Scene, gateway: &str, text: &str) {
    eventually_ok("the finding to be over", LIMIT, || {
        let list = attention(scene, gateway);
        if list.contains(text) {
            bail!("{text:?} is in {list}");
        }
        Ok(())
    });
}
