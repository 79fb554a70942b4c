use std::{fs::Permissions, os::unix::fs::PermissionsExt as _};

use super::*;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn the_folder_and_its_files_are_the_owner_s_alone() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("a/state");
    let state = StateFolder::open(&path).unwrap();
    state.write("x", b"1").unwrap();
    state.write("x", b"2").unwrap();
    assert_eq!((mode(&path), mode(&path.join("x")), mode(&path.join(LOCK_FILE))), (0o700, 0o600, 0o600));
    assert_eq!(state.read("x").unwrap().as_deref(), Some(&b"2"[..]));
    assert_eq!(state.read("y").unwrap(), None);
    assert!(!path.join(".x.new").exists());
    state.remove("x").unwrap();
    state.remove("x").unwrap();
    assert_eq!(state.read("x").unwrap(), None);
}

#[test]
fn a_folder_that_is_open_to_others_is_refused_with_what_to_do() {
    let parent = tempfile::tempdir().unwrap();
    for lax in [0o755, 0o710, 0o702] {
        fs::set_permissions(parent.path(), Permissions::from_mode(lax)).unwrap();
        let problem = StateFolder::open(parent.path()).unwrap_err().to_string();
        assert!(problem.contains("chmod 700"), "{problem}");
    }
    fs::set_permissions(parent.path(), Permissions::from_mode(0o700)).unwrap();
    StateFolder::open(parent.path()).unwrap();
}

#[test]
fn a_file_that_is_open_to_others_is_refused_with_what_to_do() {
    let parent = tempfile::tempdir().unwrap();
    let state = StateFolder::open(&parent.path().join("s")).unwrap();
    state.write("key", b"secret").unwrap();
    fs::set_permissions(state.file("key"), Permissions::from_mode(0o640)).unwrap();
    let problem = state.read("key").unwrap_err().to_string();
    assert!(problem.contains("mode 0640") && problem.contains("chmod 600"), "{problem}");
}

#[test]
fn two_processes_cannot_share_a_folder() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("s");
    let first = StateFolder::open(&path).unwrap();
    assert!(matches!(StateFolder::open(&path), Err(StateError::InUse(_))));
    drop(first);
    StateFolder::open(&path).unwrap();
}

#[test]
fn what_an_interrupted_write_left_does_not_stand_in_the_way() {
    let parent = tempfile::tempdir().unwrap();
    let state = StateFolder::open(&parent.path().join("s")).unwrap();
    state.write("x", b"old").unwrap();
    fs::write(state.file(".x.new"), b"half").unwrap();
    assert_eq!(state.read("x").unwrap().as_deref(), Some(&b"old"[..]));
    state.write("x", b"new").unwrap();
    assert_eq!(state.read("x").unwrap().as_deref(), Some(&b"new"[..]));
    drop(state);
    let state = StateFolder::open(&parent.path().join("s")).unwrap();
    assert!(!state.file(".x.new").exists(), "it may have been half of a key");
    assert_eq!(state.read("x").unwrap().as_deref(), Some(&b"new"[..]));
}

#[test]
fn a_path_that_is_a_file_is_refused() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("f");
    fs::write(&path, b"").unwrap();
    assert!(StateFolder::open(&path).is_err());
}
