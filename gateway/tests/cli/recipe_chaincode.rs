//! `ringway recipe chaincode`: what tests/helm/chaincode has, which the schemas of Kubernetes
//! judge.

use std::fs;
use std::path::Path;

use super::workspace::Workspace;

const MANIFESTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/helm/chaincode");

#[test]
fn the_policies_are_those_that_are_validated() {
    let workspace = Workspace::new();
    for (file, arguments) in [
        (
            "builder-k8s.yaml",
            "builder-k8s --namespace fabric --peer app=peer0 --peer example.org/org=acme",
        ),
        (
            "ccaas.yaml",
            "ccaas --chaincode app=basic --peer app=peer0 --peer-namespace peers --port 9998",
        ),
    ] {
        let printed = workspace
            .ringway(&format!("recipe chaincode {arguments}"))
            .succeeds()
            .out;
        let path = Path::new(MANIFESTS).join(file);
        assert_eq!(printed, fs::read_to_string(path).unwrap(), "{file}");
        // Whatever is allowed is named by labels: no range has the metadata service in it.
        assert!(!printed.contains("ipBlock"), "{printed}");
    }
}

#[test]
fn labels_that_are_none_are_refused() {
    let workspace = Workspace::new();
    for wrong in [
        "builder-k8s",
        "builder-k8s --peer app",
        "builder-k8s --peer =x",
        "builder-k8s --peer app=a\"b",
        "builder-k8s --peer a/b/c=d",
        "builder-k8s --peer app=x --namespace A",
        "builder-k8s --peer app=x --port 0",
        "ccaas --peer app=peer0",
        "docker --peer app=peer0",
    ] {
        let answer = workspace.ringway(&format!("recipe chaincode {wrong}"));
        assert_eq!(answer.code, 64, "{wrong}: {}", answer.out);
    }
}
