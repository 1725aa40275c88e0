//! Many queries on one connection, and many connections.

use std::io::Write;

use crate::test_server::*;

#[test]
fn queries_in_one_segment_and_in_single_octets_are_answered_in_order() {
    let server = TestServer::start();
    let mut stream = tcp_from("127.0.0.1", server.v4());
    stream.set_nodelay(true).unwrap();
    let questions: Vec<u8> = (0..50)
        .flat_map(|id| framed(&question(id, "many.org1.example")))
        .collect();
    stream.write_all(&questions).unwrap();
    for byte in framed(&question(50, "peer0.org1.example")) {
        stream.write_all(&[byte]).unwrap();
    }
    for id in 0..=50u16 {
        assert_eq!(read_answer(&mut stream)[..2], id.to_be_bytes());
    }
}

#[test]
fn pipelined_queries_are_all_answered_while_the_client_reads() {
    let server = TestServer::start();
    let mut stream = tcp_from("127.0.0.1", server.v4());
    let mut writer = stream.try_clone().unwrap();
    let questions: Vec<u8> = (0..2000)
        .flat_map(|id| framed(&question(id, "many.org1.example")))
        .collect();
    // The responses have 6 MB, far more than any buffer.
    let writing = std::thread::spawn(move || writer.write_all(&questions));
    for id in 0..2000u16 {
        assert_eq!(read_answer(&mut stream)[..2], id.to_be_bytes());
    }
    writing.join().unwrap().unwrap();
}

#[test]
fn a_client_that_shuts_down_its_sending_side_still_gets_its_responses() {
    let server = TestServer::start();
    let mut stream = tcp_from("127.0.0.1", server.v4());
    stream
        .write_all(&framed(&question(7, "peer0.org1.example")))
        .unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(read_answer(&mut stream)[..2], 7u16.to_be_bytes());
    assert!(is_closed(&mut stream));
}

#[test]
fn connections_from_one_address_do_not_displace_those_from_others() {
    let server = TestServer::start();
    let mut other = tcp_from("127.0.0.3", server.v4());
    let mut greedy: Vec<_> = (0..100)
        .map(|_| tcp_from("127.0.0.1", server.v4()))
        .collect();
    for stream in [&mut other, &mut greedy[0]] {
        stream
            .write_all(&framed(&question(9, "peer0.org1.example")))
            .unwrap();
        assert_eq!(read_answer(stream)[..2], 9u16.to_be_bytes());
    }
    assert!(
        is_closed(greedy.last_mut().unwrap()),
        "the newest connection from this address was refused"
    );
    assert_eq!(server.counters.crowded.get(), 68);
}
