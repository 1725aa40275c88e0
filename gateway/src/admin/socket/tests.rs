//! A socket that is in use, stale or full, and clients that say nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use nix::unistd::Group;
use ringway_config::Place;
use socket2::{Domain, SockAddr, Socket, Type};

use super::*;
use crate::attention::Attention;

fn bind(path: &Path, group: Option<&SocketGroup>) -> anyhow::Result<FileListener> {
    FileListener::bind(path, group)
}

fn path(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("ringway-{name}-{}.sock", std::process::id()))
}

#[tokio::test]
async fn a_stale_file_is_replaced_and_one_in_use_is_not() {
    let path = path("stale");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());

    let bound = bind(&path, None).unwrap();
    let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    let error = bind(&path, None).unwrap_err().to_string();
    assert!(error.contains("another ringway"), "{error}");

    drop(bound);
    fs::remove_file(&path).unwrap();
}

#[tokio::test]
async fn a_file_that_is_no_socket_is_left_alone() {
    let path = path("key");
    fs::write(&path, "precious").unwrap();

    let error = format!("{:#}", bind(&path, None).unwrap_err());
    assert!(error.contains("is not a socket"), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    fs::remove_file(&path).unwrap();
}

#[tokio::test]
async fn a_daemon_that_reads_nothing_holds_nobody_up() {
    let path = path("full");
    let hung = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    hung.bind(&SockAddr::unix(&path).unwrap()).unwrap();
    hung.listen(0).unwrap();
    let _waiting = std::os::unix::net::UnixStream::connect(&path).unwrap();

    let error = bind(&path, None).unwrap_err().to_string();
    fs::remove_file(&path).unwrap();
    assert!(error.contains("another ringway has this socket"), "{error}");
}

#[tokio::test]
async fn a_group_may_use_the_socket_if_there_is_such_a_group() {
    let path = path("group");
    let own = Group::from_gid(nix::unistd::Gid::effective())
        .unwrap()
        .unwrap();

    let group = |name: &str| SocketGroup {
        name: name.to_owned(),
        place: Place::whole(Path::new("gateway.toml")),
    };
    let bound = bind(&path, Some(&group(&own.name))).unwrap();
    let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o660);
    drop(bound);
    fs::remove_file(&path).unwrap();

    let missing = group("no-such-group");
    let error = bind(&path, Some(&missing)).unwrap_err().to_string();
    assert!(
        error.starts_with("gateway.toml: there is no group \"no-such-group\";"),
        "{error}"
    );
}

#[test]
fn only_root_and_the_daemon_may_change_something() {
    let own = Uid::effective().as_raw();
    let stranger = own + 1000;

    for request in ["status", "role", "metrics"] {
        assert!(is_allowed(request, stranger), "{request}");
    }
    for request in ["reload", "drain", "drain cancel", "something new"] {
        assert!(!is_allowed(request, stranger), "{request}");
        assert!(
            is_allowed(request, own) && is_allowed(request, 0),
            "{request}"
        );
    }
}

#[tokio::test]
async fn silent_clients_keep_nobody_from_an_answer() {
    let path = path("many");
    let mut listener = bind(&path, None).unwrap();
    let report = Report {
        gateway: "gw.acme".to_owned(),
        ..Report::default()
    };
    let mut silent = Vec::new();
    for _ in 0..MAX_CLIENTS - 1 {
        silent.push(UnixStream::connect(&path).await.unwrap());
    }

    let asking = path.clone();
    // It would give up after [`CLIENT_TIMEOUT`].
    let asked = tokio::task::spawn_blocking(move || ask(&asking));
    let answer = tokio::select! {
        answer = asked => answer.unwrap().unwrap(),
        () = serve_report(&mut listener, &report) => unreachable!("it serves for ever"),
    };
    fs::remove_file(&path).unwrap();
    assert_eq!(answer.gateway, "gw.acme");
}

#[tokio::test]
async fn a_gateway_that_waits_says_so_to_every_request() {
    let path = path("waits");
    let mut listener = bind(&path, None).unwrap();
    let report = Report::default();
    let asking = path.clone();

    let asked = tokio::task::spawn_blocking(move || {
        [
            "answers",
            "drain",
            "metrics",
            "rules 10.1.0.1 10.2.0.1 tcp 1",
            "reload",
        ]
        .map(|request| {
            let reply = fetch(&asking, request, CLIENT_TIMEOUT).unwrap();
            refused(&asking, &reply).unwrap_err().to_string()
        })
    });
    let errors = tokio::select! {
        errors = asked => errors.unwrap(),
        () = serve_report(&mut listener, &report) => unreachable!("it serves for ever"),
    };
    fs::remove_file(&path).unwrap();
    for error in errors {
        assert!(error.contains("waits for the right time"), "{error}");
    }
}

#[test]
fn a_daemon_that_is_stopped_is_not_called_absent() {
    let path = path("stopped");
    // Its kernel takes the connection, and nobody answers.
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let error = format!(
        "{:#}",
        ask_role(&path, Duration::from_millis(10)).unwrap_err()
    );
    assert!(error.contains("daemon is there"), "{error}");
    assert!(!error.contains("no running gateway"), "{error}");

    drop(listener);
    let error = format!(
        "{:#}",
        ask_role(&path, Duration::from_millis(10)).unwrap_err()
    );
    assert!(error.contains("no running gateway"), "{error}");
    fs::remove_file(&path).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_socket_that_was_removed_or_replaced_is_made_again() {
    let dir = path("removed").with_extension("d");
    let path = dir.join("ringway.sock");
    let mut listener = bind(&path, None).unwrap();
    let report = Report {
        gateway: "gw.acme".to_owned(),
        ..Report::default()
    };

    type Change = fn(&Path);
    let changes: [Change; 3] = [
        |path| fs::remove_file(path).unwrap(),
        |path| fs::remove_dir_all(path.parent().unwrap()).unwrap(),
        // Nobody listens on it any more.
        |path| {
            fs::remove_file(path).unwrap();
            drop(std::os::unix::net::UnixListener::bind(path).unwrap());
        },
    ];
    for change in changes {
        change(&path);
        let asked = async {
            let mut client = connect(&path).await;
            let mut answer = String::new();
            client.write_all(b"status\n").await.unwrap();
            client.read_to_string(&mut answer).await.unwrap();
            answer
        };
        let answer = tokio::select! {
            answer = asked => answer,
            () = serve_report(&mut listener, &report) => unreachable!("it serves for ever"),
        };
        assert!(answer.contains("gw.acme"), "{answer}");
    }
    fs::remove_dir_all(&dir).unwrap();
}

/// Connects as soon as somebody listens.
async fn connect(path: &Path) -> UnixStream {
    loop {
        match UnixStream::connect(path).await {
            Ok(client) => return client,
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn another_file_in_the_place_of_the_socket_is_reported_and_left_alone() {
    let path = path("replaced");
    let attention = Attention::default();
    let mut listener = bind(&path, None).unwrap();
    listener.report_as(FINDING, attention.clone());

    fs::remove_file(&path).unwrap();
    fs::write(&path, "precious").unwrap();
    let reported = async {
        while attention.list().is_empty() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::select! {
        () = reported => {}
        _ = listener.accept() => unreachable!("nobody connects"),
    }
    let item = attention.list()["admin socket"].clone();
    assert!(item.what.contains("is not a socket"), "{item:?}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");

    fs::remove_file(&path).unwrap();
    let cleared = async {
        while !attention.list().is_empty() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::select! {
        () = cleared => {}
        _ = listener.accept() => unreachable!("nobody connects"),
    }
    fs::remove_file(&path).unwrap();
}
