//! What is read from sources is what stands there: shown on small crates that are written for it.

use std::{fs, path::Path};

use anyhow::Result;
use chapar_house::{
    floor::{self, Plan},
    key,
    resolve::Read,
    size,
    source::Source,
};

/// A crate of these files, with this floor plan.
struct House {
    top: tempfile::TempDir,
}

impl House {
    fn build(floors: &str, files: &[(&str, &str)]) -> Result<Self> {
        let top = tempfile::tempdir()?;
        let write = |file: &Path, text: &str| -> Result<()> {
            let path = top.path().join(file);
            fs::create_dir_all(path.parent().unwrap_or(top.path()))?;
            Ok(fs::write(path, text)?)
        };
        write(Path::new(floor::PAGE), &format!("<!-- floors src -->\n```\n{floors}\n```\n<!-- end -->\n"))?;
        write(Path::new("Cargo.toml"), "[package]\nname = \"a-house\"\n")?;
        for (file, text) in files {
            write(&Path::new("src").join(file), text)?;
        }
        Ok(Self { top })
    }

    fn read(&self) -> Result<Read> {
        Ok(Read::new(Source::read(self.top.path(), "src")?))
    }

    fn faults(&self) -> Result<String> {
        Ok(floor::faults(&self.read()?, &Plan::read(self.top.path(), "src")?).join("\n"))
    }
}

const LIB: (&str, &str) = ("lib.rs", "mod roof;\nmod ground;\n");
const GROUND: (&str, &str) = ("ground.rs", "pub struct Stone;\n");

#[test]
fn an_import_of_a_lower_floor_is_right() -> Result<()> {
    let house = House::build("roof\nground", &[LIB, GROUND, ("roof.rs", "use crate::ground::Stone;\n")])?;
    assert_eq!(house.faults()?, "");
    Ok(())
}

#[test]
fn an_upward_import_is_told_with_its_place() -> Result<()> {
    let house = House::build("roof\nground", &[LIB, ("ground.rs", "\nuse crate::roof::{\n    Tile,\n};\n"), ("roof.rs", "")])?;
    let faults = house.faults()?;
    assert!(faults.contains("`ground` imports `roof`: upwards"), "{faults}");
    assert!(faults.contains("src/ground.rs:3: crate::roof::Tile"), "{faults}");
    Ok(())
}

#[test]
fn an_import_of_the_same_floor_is_told() -> Result<()> {
    let house = House::build("roof, ground", &[LIB, GROUND, ("roof.rs", "fn f(_: crate::ground::Stone) {}\n")])?;
    assert!(house.faults()?.contains("`roof` imports `ground`: sideways"));
    Ok(())
}

#[test]
fn paths_in_macros_attributes_and_program_text_are_read() -> Result<()> {
    let ways = [
        "fn f() { println!(\"{}\", crate::roof::tile()); }",
        "#[serde(with = \"crate::roof::tile\")]\nstruct S;",
        "use super::roof;\nfn f() { roof::tile(); }",
        "fn f() { a_house::roof::tile(); }",
        "impl crate::roof::Tile for Stone {}",
    ];
    for way in ways {
        let house = House::build("roof\nground", &[LIB, ("ground.rs", way), ("roof.rs", "")])?;
        assert!(house.faults()?.contains("`ground` imports `roof`"), "{way}");
    }
    Ok(())
}

#[test]
fn what_only_tests_see_is_exempt() -> Result<()> {
    let tests = "#[cfg(test)]\nuse crate::roof::Tile;\n#[cfg(test)]\nmod tests {\n    use crate::roof::Tile;\n}\n";
    let house = House::build("roof\nground", &[LIB, ("ground.rs", tests), ("roof.rs", "")])?;
    assert_eq!(house.faults()?, "");
    Ok(())
}

#[test]
fn a_circle_among_the_children_of_a_module_is_told() -> Result<()> {
    let files = [
        ("lib.rs", "mod hall;\n"),
        ("hall.rs", "mod east;\nmod west;\npub use east::East;\n"),
        // By the name that their parent hands on.
        ("hall/west.rs", "use super::East;\npub struct West;\n"),
        ("hall/east.rs", "use super::west::West;\npub struct East;\n"),
    ];
    let faults = House::build("hall", &files)?.faults()?;
    assert!(faults.contains("a circle in `hall`: east, west"), "{faults}");
    assert!(faults.contains("src/hall/west.rs:1: super::East"), "{faults}");
    Ok(())
}

#[test]
fn an_item_of_a_programs_root_is_above_everything() -> Result<()> {
    let files = [("main.rs", "mod ground;\nstruct Verdict;\n"), ("ground.rs", "use crate::Verdict;\n")];
    let faults = House::build("main\nground", &files)?.faults()?;
    assert!(faults.contains("`ground` imports `main`: upwards"), "{faults}");
    Ok(())
}

#[test]
fn modules_that_the_plan_forgot_and_names_that_are_gone_are_told() -> Result<()> {
    let house = House::build("cellar\nground", &[LIB, GROUND, ("roof.rs", "")])?;
    let faults = house.faults()?;
    assert!(faults.contains("`roof` is on no floor") && faults.contains("`cellar` is on the plan, but is no module"), "{faults}");
    Ok(())
}

#[test]
fn methods_of_all_blocks_are_counted_and_those_of_a_trait_by_themselves() -> Result<()> {
    let files = [
        ("lib.rs", "mod a;\npub struct Relay<G>(G);\nimpl<G> Relay<G> { fn one(&self) {} }\n"),
        (
            "a.rs",
            "use super::Relay;\nimpl<G> Relay<G> { fn two(&self) {} }\nimpl<G> Drop for Relay<G> { fn drop(&mut self) {} }\n",
        ),
    ];
    let counts = size::methods(&House::build("a", &files)?.read()?);
    assert_eq!((counts.get("Relay"), counts.get("Relay as Drop")), (Some(&2), Some(&1)));
    Ok(())
}

#[test]
fn bare_keys_are_told_from_amounts() -> Result<()> {
    let text = "struct S { call: u32, window_bytes: u32, links: Vec<u32> }\n\
        fn choose() -> Option<u32> { None }\nfn depth() -> u32 { 0 }\nfn f(stream: u32, slot: u32) {}\nenum E { Parked(u32), Count { bytes: u32 } }\n";
    let keys = key::bare(&House::build("a", &[("lib.rs", "mod a;\n"), ("a.rs", text)])?.read()?);
    let names: Vec<_> = keys.iter().filter_map(|key| key.rsplit(' ').next()).collect();
    assert_eq!(names, ["call", "links", "choose", "slot", "Parked"]);
    Ok(())
}
