#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;

use proptest::prelude::*;

use super::*;

const AGENCIES: &str = r#"
apiVersion: chapar/v1
kind: Agency
metadata: {name: civil-registration}
spec:
  title: {fa: سازمان ثبت احوال کشور, en: National Organization for Civil Registration}
  roles: [provider, consumer]
---
{"apiVersion": "chapar/v1", "kind": "Agency", "metadata": {"name": "ipm"},
 "spec": {"title": {"fa": "پژوهشگاه دانش‌های بنیادی", "en": "Institute for Research: Fundamental Sciences"}, "roles": ["consumer"]}}
"#;

fn file(name: &str, content: impl Into<Vec<u8>>) -> ResourceFile {
    ResourceFile { name: name.into(), content: content.into() }
}

fn world() -> PolicySet {
    let files = [file("agencies.yaml", AGENCIES)];
    let sound = read(&files).check(&PolicySet::new(), &BTreeSet::new()).unwrap();
    sound.into_iter().map(|(name, spec)| (name, Arc::new(spec))).collect()
}

fn problems(content: impl Into<Vec<u8>>) -> String {
    let found = read(&[file("f.yaml", content)]).check(&world(), &BTreeSet::new());
    found.err().unwrap_or_default().iter().map(|problem| format!("{problem}\n")).collect()
}

#[test]
fn an_agency_of_another_exchange_is_refused_where_it_is_named() {
    let grant = |consumer: &str, provider: &str| {
        let grants = "  date: 1401-10-20\n  grants:\n    - clause: \"1\"\n";
        resolution(&format!("{grants}      consumers: [ipm, {consumer}]\n      inquiries: [x]\n      provider: {provider}\n"))
    };
    let told = problems(grant("ipm@other.example", "civil-registration"));
    let refused = "\"ipm@other.example\" is of the exchange \"other.example\"; no other exchange is joined to this one";
    assert!(told.contains(&format!("f.yaml:10:24: spec.grants[0].consumers[1]: {refused}")), "{told}");
    let told = problems(grant("civil-registration", "cra@other.example"));
    assert!(told.contains("f.yaml:12:17: spec.grants[0].provider: \"cra@other.example\" is of the exchange"), "{told}");
}

fn resolution(spec: &str) -> String {
    format!(
        "apiVersion: chapar/v1\nkind: Resolution\nmetadata: {{name: 38-1}}\nspec:\n  title: {{fa: مصوبه, en: Resolution}}\n  session: 38\n{spec}"
    )
}

fn agency(name: &str, more: &str) -> String {
    format!(
        "---\napiVersion: chapar/v1\nkind: Agency\nmetadata: {{name: {name}}}\nspec:\n  title: {{fa: الف, en: A}}\n  roles: [consumer]\n{more}"
    )
}

#[test]
fn yaml_and_json_are_read_alike() {
    let world = world();
    assert_eq!(world.len(), 2);
    let ipm = world.get(&ResourceName { kind: Kind::Agency, name: "ipm".into() }).unwrap();
    let Spec::Agency(ipm) = &**ipm else { panic!("no agency") };
    assert_eq!(ipm.title.en, "Institute for Research: Fundamental Sciences");
    assert_eq!(ipm.roles, [Role::Consumer]);
}

#[test]
fn the_resources_of_session_38_are_sound() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/playground/resources");
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        files.push(file(path.file_name().unwrap().to_str().unwrap(), std::fs::read(&path).unwrap()));
    }
    let sound = read(&files).check(&PolicySet::new(), &BTreeSet::new()).unwrap_or_else(|problems| panic!("{problems:#?}"));
    assert_eq!(sound.keys().filter(|name| name.kind == Kind::Resolution).count(), 5);
    assert_eq!(sound.keys().filter(|name| name.kind == Kind::Agency).count(), 22);
}

/// Every way in which a file can be wrong, with the exact answer. Reviewed as a diff of the snapshot.
#[test]
fn malformed_files_are_told_by_place_and_field() {
    let dated = |more: &str| resolution(&format!("  date: 1401-10-20\n{more}"));
    let granted = |more: &str| {
        dated(&format!("  grants:\n    - clause: \"1\"\n      consumers: [ipm]\n      inquiries: [shahkar]\n{more}"))
    };
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("empty file", "".into()),
        ("only a comment", "# nothing\n".into()),
        ("not a map", "- a\n- b\n".into()),
        ("missing everything", "{}".into()),
        ("unknown kind and version", "apiVersion: chapar/v2\nkind: Agncy\nmetadata: {name: a}\nspec: {}\n".into()),
        ("unknown kind far from any", "apiVersion: chapar/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {}\n".into()),
        ("unknown fields", agency("a", "  titel: x\n  partof: ipm\nstatus: {}\n").into()),
        ("wrong types", "apiVersion: 1\nkind: [Agency]\nmetadata: text\nspec: 7\n".into()),
        ("wrong types in a spec", "apiVersion: chapar/v1\nkind: Agency\nmetadata: {name: 38}\nspec:\n  title: text\n  roles: provider\n".into()),
        ("empty list and unknown role", "apiVersion: chapar/v1\nkind: Agency\nmetadata: {name: a}\nspec:\n  title: {fa: ب, en: B}\n  roles: [provder]\n---\napiVersion: chapar/v1\nkind: Agency\nmetadata: {name: b}\nspec:\n  title: {fa: ب}\n  roles: []\n".into()),
        ("bad names", format!("{}{}{}", agency("Ipm", ""), agency("a--b", ""), agency(&"a".repeat(64), "")).into()),
        ("duplicate name", format!("{}{}", agency("twin", ""), agency("twin", "")).into()),
        ("duplicate field", "apiVersion: chapar/v1\nkind: Agency\nkind: Agency\nmetadata: {name: a}\nspec:\n  title: {fa: ب, en: B}\n  roles: [consumer]\n".into()),
        ("unknown agency", dated("  grants:\n    - clause: \"1\"\n      consumers: [imp]\n      inquiries: [shahkar]\n      provider: civil-regstration\n").into()),
        ("dangling supersedes and partOf", format!("{}{}", agency("a", "  partOf: nowhere\n"), format_args!("---\n{}", dated("  supersedes: [37-9]\n"))).into()),
        ("bad Jalali month", resolution("  date: 1401-13-01\n").into()),
        ("no leap day", resolution("  date: 1402-12-30\n").into()),
        ("no date at all", resolution("  date: tomorrow\n").into()),
        ("missing date", resolution("").into()),
        ("notAfter before notBefore", granted("      notBefore: 1402-01-01\n      notAfter: 1401-12-28\n").into()),
        ("wrong inForce, clause and session", granted("      inForce: yes\n").replace("session: 38", "session: -1").replace("clause: \"1\"", "clause: 3.2").into()),
        ("grant made twice", granted("    - clause: \"1\"\n      consumers: [civil-registration, ipm]\n      inquiries: [shahkar]\n").into()),
        ("consumer listed twice", granted("").replace("[ipm]", "[ipm, ipm]").into()),
        ("cyclic partOf", format!("{}{}{}", agency("a", "  partOf: b\n"), agency("b", "  partOf: c\n"), agency("c", "  partOf: a\n")).into()),
        ("part of itself", agency("a", "  partOf: a\n").into()),
        ("cyclic supersedes", format!("{}\n---\n{}", dated("  supersedes: [38-2]\n"), dated("  supersedes: [38-1]\n").replace("name: 38-1", "name: 38-2")).into()),
        ("broken YAML, and a later document is still read", format!("a: [1, 2\n{}", agency("B", "")).into()),
        ("tabs", "apiVersion: chapar/v1\nkind: Agency\nmetadata:\n\tname: a\n".into()),
        ("not UTF-8", [b"apiVersion: chapar/v1\n# caf".as_slice(), &[0xe9], b"\n"].concat()),
        ("UTF-16", [0xff, 0xfe, b'a', 0].to_vec()),
        ("too deep", format!("{}{}", "[".repeat(200), "]".repeat(200)).into()),
        ("unknown anchor and tag", "apiVersion: !v chapar/v1\nkind: *k\nmetadata: {name: a}\nspec: {}\n".into()),
        ("anchor in itself", "a: &a [*a]\n".into()),
        ("control characters", agency("a", "").replace("en: A", "en: \"A\\u202EB\"").into()),
        ("list as a field's name", "? [a]\n: b\n".into()),
    ];
    let mut told = String::new();
    for (name, content) in cases {
        let answer = problems(content);
        assert!(!answer.is_empty(), "{name}: was accepted");
        writeln!(told, "## {name}\n{answer}").unwrap();
    }
    insta::assert_snapshot!(told);
}

#[test]
fn an_alias_stands_for_its_value() {
    let text = resolution(
        "  date: 1401-10-20\n  sealedUntil: 1402-01-01\n  grants:\n    - {clause: a, consumers: &who [ipm], inquiries: [x]}\n    - {clause: b, consumers: *who, inquiries: [y]}\n",
    );
    assert_eq!(problems(text), "");
}

#[test]
fn a_bomb_of_aliases_is_refused_in_little_memory() {
    let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for level in 1..20 {
        let previous = level - 1;
        let aliases = vec![format!("*a{previous}"); 10].join(",");
        writeln!(bomb, "a{level}: &a{level} [{aliases}]").unwrap();
    }
    let told = problems(bomb);
    assert!(told.contains("the request holds more than 1000000 values"), "{told}");
}

#[test]
fn sizes_are_bounded() {
    let told = problems(vec![b'#'; 10 * 1024 * 1024]);
    assert_eq!(told, "f.yaml:1:1: the file has 10485760 bytes; at most 4194304 are allowed; split it\n");
    let many: Vec<ResourceFile> = (0..3).map(|n| file(&format!("{n}.yaml"), vec![b'#'; FILE_BYTES_MAX])).collect();
    let told = read(&many).check(&PolicySet::new(), &BTreeSet::new()).unwrap_err();
    assert!(told[0].description.contains("at most 8388608 are allowed"), "{}", told[0]);
    let names: Vec<String> = (0..400).map(|n| format!("a{n}")).collect();
    let list = names.join(", ");
    let told = problems(resolution(&format!(
        "  date: 1401-10-20\n  grants:\n    - {{clause: a, consumers: [{list}], inquiries: [{list}]}}\n"
    )));
    assert!(told.contains("the resolution makes more than 100000 grants; split it"), "{told}");
}

#[test]
fn many_problems_are_told_up_to_a_limit_and_counted() {
    let many: String = (0..150).map(|n| agency(&format!("A{n}"), "")).collect();
    let told = read(&[file("f.yaml", many)]).check(&PolicySet::new(), &BTreeSet::new()).unwrap_err();
    assert_eq!(told.len(), PROBLEMS_MAX + 1);
    assert_eq!(told[PROBLEMS_MAX].description, "and 50 more problems; mend these first");
}

#[test]
fn a_deleted_resource_cannot_be_referred_to() {
    let deleted = BTreeSet::from([ResourceName { kind: Kind::Agency, name: "ipm".into() }]);
    let told = read(&[file("f.yaml", agency("a", "  partOf: ipm\n"))]).check(&world(), &deleted).unwrap_err();
    assert_eq!(told[0].to_string(), "f.yaml:8:11: spec.partOf: the agency \"ipm\" is deleted by this same request");
}

#[test]
fn canonical_yaml_reads_back_as_the_same() {
    let text = resolution(concat!(
        "  date: 1401-10-20\n  grants:\n    - clause: \"3.2\"\n      consumers: [ipm, civil-registration]\n      inquiries: [b, a]\n",
        "      provider: ipm\n      notBefore: 1401-11-01\n      notAfter: 2024-01-01T00:00:00Z\n      inForce: false\n      purposeRequired: true\n      note: \"a: b # c\\n— «د»\"\n",
    ));
    let sound = read(&[file("f.yaml", text)]).check(&world(), &BTreeSet::new()).unwrap();
    let written = yaml_all(&sound);
    insta::assert_snapshot!(written, @r#"
    ---
    apiVersion: chapar/v1
    kind: Resolution
    metadata:
      name: 38-1
    spec:
      title:
        fa: مصوبه
        en: Resolution
      session: 38
      date: 1401-10-20
      grants:
        - clause: "3.2"
          consumers:
            - civil-registration
            - ipm
          inquiries:
            - a
            - b
          provider: ipm
          notBefore: 1401-11-01
          notAfter: "2024-01-01T00:00:00Z"
          inForce: false
          purposeRequired: true
          note: "a: b # c\n— «د»"
    "#);
    let again = read(&[file("f.yaml", written)]).check(&world(), &BTreeSet::new()).unwrap();
    assert_eq!(again, sound);
    let stored: BTreeMap<ResourceName, Spec> = sound
        .iter()
        .map(|(name, spec)| (name.clone(), serde_json::from_str(&serde_json::to_string(spec).unwrap()).unwrap()))
        .collect();
    assert_eq!(stored, sound);
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = problems(bytes);
    }

    #[test]
    fn arbitrary_yaml_like_text_never_panics(text in "([a-z:\\-\\[\\]{}&*!|>#'\" \t\n,?%~]|apiVersion|kind: Agency|---|\u{200c}|é){0,80}") {
        let _ = problems(text);
    }

    #[test]
    fn a_mutilated_file_never_panics_and_is_never_half_taken(at in 0_usize..700, byte in any::<u8>()) {
        let mut bytes = AGENCIES.as_bytes().to_vec();
        let at = at % bytes.len();
        bytes[at] = byte;
        let _ = read(&[file("f.yaml", bytes)]).check(&PolicySet::new(), &BTreeSet::new());
    }

    #[test]
    fn any_title_survives_the_canonical_form(fa in "\\PC{1,40}", en in "[ -~\n]{1,40}") {
        let spec = Spec::Agency(Agency { title: Title { fa, en }, roles: vec![Role::Consumer], part_of: None });
        let name = ResourceName { kind: Kind::Agency, name: "a".into() };
        let read = read(&[file("f.yaml", yaml(&name, &spec))]).check(&PolicySet::new(), &BTreeSet::new());
        if let Ok(read) = read {
            prop_assert_eq!(&read[&name], &spec);
        } else if let Spec::Agency(agency) = &spec {
            // Only what is refused as a title may not come back.
            let refused = |text: &str| text::prose_problem(text, 256).is_some();
            prop_assert!(refused(&agency.title.fa) || refused(&agency.title.en), "{}", yaml(&name, &spec));
        }
    }
}
