//! The examples of RFC 7541, appendix C.

use super::*;

fn hex(digits: &str) -> Vec<u8> {
    let digit = |byte: u8| (byte as char).to_digit(16).expect("a hexadecimal digit") as u8;
    digits.as_bytes().chunks_exact(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}

#[test]
fn reads_the_literal_and_indexed_fields_of_appendix_c_2() {
    let read = |digits: &str| read(&mut Decoder::default(), &hex(digits), &WIDE);
    assert_eq!(read("400a637573746f6d2d6b65790d637573746f6d2d686561646572"), fields(&[("custom-key", "custom-header")]));
    assert_eq!(read("040c2f73616d706c652f70617468"), fields(&[(":path", "/sample/path")]));
    assert_eq!(read("100870617373776f726406736563726574"), fields(&[("password", "secret")]));
    assert_eq!(read("82"), fields(&[(":method", "GET")]));
}

#[test]
fn reads_the_requests_of_appendix_c_3_and_c_4() {
    let plain = [
        "828684410f7777772e6578616d706c652e636f6d",
        "828684be58086e6f2d6361636865",
        "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
    ];
    let coded =
        ["828684418cf1e3c2e5f23a6ba0ab90f4ff", "828684be5886a8eb10649cbf", "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf"];
    for requests in [plain, coded] {
        let mut decoder = Decoder::default();
        let mut read = |at: usize| read(&mut decoder, &hex(requests[at]), &WIDE);
        let first = [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "www.example.com")];
        assert_eq!(read(0), fields(&first));
        assert_eq!(read(1), fields(&[&first[..], &[("cache-control", "no-cache")]].concat()));
        let third = [
            (":method", "GET"),
            (":scheme", "https"),
            (":path", "/index.html"),
            (":authority", "www.example.com"),
            ("custom-key", "custom-value"),
        ];
        assert_eq!(read(2), fields(&third));
    }
}

#[test]
fn reads_the_responses_of_appendix_c_5_and_c_6_through_a_small_table() {
    let plain = [
        "4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d54\
         6e1768747470733a2f2f7777772e6578616d706c652e636f6d",
        "4803333037c1c0bf",
        "88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a69707738666f6f3d\
         4153444a4b48514b425a584f5157454f50495541585157454f49553b206d61782d6167653d333630303b2076657273696f6e3d31",
    ];
    let coded = [
        "488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad171863c78f0b97c8e9ae82ae43d3",
        "4883640effc1c0bf",
        "88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f3672c1ab270f\
         b5291f9587316065c003ed4ee5b1063d5007",
    ];
    for responses in [plain, coded] {
        let mut decoder = Decoder::new(256);
        let mut read = |at: usize| read(&mut decoder, &hex(&responses[at].replace(' ', "")), &WIDE);
        let (private, location) = (("cache-control", "private"), ("location", "https://www.example.com"));
        let date = ("date", "Mon, 21 Oct 2013 20:13:21 GMT");
        assert_eq!(read(0), fields(&[(":status", "302"), private, date, location]));
        assert_eq!(read(1), fields(&[(":status", "307"), private, date, location]));
        let third = [
            (":status", "200"),
            private,
            ("date", "Mon, 21 Oct 2013 20:13:22 GMT"),
            location,
            ("content-encoding", "gzip"),
            ("set-cookie", "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1"),
        ];
        assert_eq!(read(2), fields(&third));
    }
}
