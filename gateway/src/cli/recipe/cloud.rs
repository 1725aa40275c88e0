//! Recipes for the resolvers of clouds, as commands of their own tools. The reader fills in what is
//! in angle brackets. They follow the vendors' manuals and are not tested.

use super::Names;

/// The first lines of each recipe.
fn head(resolver: &str) -> String {
    format!(
        "# {resolver}: sends the consortium's names to the gateways. Not tried: compare it with \
         the manual.\n\
         # Its addresses must lie in this site, since the gateways answer nobody else.\n"
    )
}

pub(super) fn route53(names: &Names) -> String {
    let targets: Vec<String> = names
        .servers
        .iter()
        .map(|server| {
            let key = if server.is_ipv4() { "Ip" } else { "Ipv6" };
            format!("{key}={server},Port=53")
        })
        .collect();
    let rules = names.lines(|zone| {
        format!(
            "aws route53resolver create-resolver-rule --rule-type FORWARD --creator-request-id \
             ringway-{zone} \\\n  --resolver-endpoint-id <outbound endpoint> --domain-name {zone} \
             --target-ips {}\n",
            targets.join(" ")
        )
    });

    format!(
        "{}{rules}# For each rule:\n\
         aws route53resolver associate-resolver-rule --resolver-rule-id <rule> --vpc-id <vpc>\n",
        head("Amazon Route 53 Resolver")
    )
}

pub(super) fn azure(names: &Names) -> String {
    let servers: Vec<String> = names
        .servers
        .iter()
        .map(|server| format!("{{\"ip-address\":\"{server}\",\"port\":53}}"))
        .collect();
    let rules = names.lines(|zone| {
        format!(
            "az dns-resolver forwarding-rule create --resource-group <group> --ruleset-name \
             <ruleset> \\\n  --name {} --domain-name {zone}. --forwarding-rule-state Enabled \\\n  \
             --target-dns-servers '[{}]'\n",
            zone.replace('.', "-"),
            servers.join(",")
        )
    });

    format!("{}{rules}", head("Azure DNS Private Resolver"))
}

pub(super) fn clouddns(names: &Names) -> String {
    let zones = names.lines(|zone| {
        format!(
            "gcloud dns managed-zones create ringway-{} --dns-name={zone}. --visibility=private \
             \\\n  --networks=<network> --description=ringway --private-forwarding-targets={}\n",
            zone.replace('.', "-"),
            names.servers(",")
        )
    });

    format!("{}{zones}", head("Google Cloud DNS"))
}

pub(super) fn privatezone(names: &Names) -> String {
    let mut targets = String::new();
    for (number, server) in (1..).zip(&names.servers) {
        targets.push_str(&format!(
            " --ForwardIp.{number}.Ip {server} --ForwardIp.{number}.Port 53"
        ));
    }
    let rules = names.lines(|zone| {
        format!(
            "aliyun pvtz AddResolverRule --Name ringway-{} --Type OUTBOUND --EndpointId \
             <outbound endpoint> \\\n  --ZoneName {zone}{targets}\n",
            zone.replace('.', "-")
        )
    });

    format!(
        "{}{rules}# For each rule:\n\
         aliyun pvtz BindResolverRuleVpc --RuleId <rule> --Vpc.1.RegionId <region> --Vpc.1.VpcId \
         <vpc>\n",
        head("Alibaba Cloud PrivateZone")
    )
}
