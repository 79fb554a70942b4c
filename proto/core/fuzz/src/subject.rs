//! Finding the data subject in a request that somebody made up.

use chapar_core::{
    passport::SubjectKind,
    subject::{Coding, NormalId, SubjectField, SubjectKey, of_message},
};

pub fn run(bytes: &[u8]) {
    let key = SubjectKey::new(1, [7; 32]);
    let field = |path: &[u32]| SubjectField { path: path.to_vec(), kind: SubjectKind::Person };
    let fields = [field(&[1]), field(&[2, 1]), field(&[2, 3, 1])];
    for coding in [Coding::Plain, Coding::Gzip, Coding::Deflate] {
        let _ = of_message(bytes, coding, &fields, &key);
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = NormalId::from_text(text);
    }
}
