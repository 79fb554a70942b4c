//! What a visitor can do while the playground stays up.

use crate::{
    mesh::Mesh,
    story::{heading, tell},
};

/// Tells where everything is and how to look around.
pub fn tell_around(mesh: &Mesh, program: &str) {
    let plane = mesh.control_plane();
    heading("Look around");
    tell(&format!("  export CHAPAR_ENDPOINT={}", plane.endpoint()));
    tell(&format!("  alias chapar={program}"));
    for (command, what) in [
        ("chapar sidecar list", "who is connected, and which policy version each runs"),
        ("chapar explain mashhad-municipality identity-match", "may it, and by which resolution"),
        ("chapar explain ipm identity-match", "or why not"),
        ("chapar passport list", "the services' technical passports"),
        ("chapar grant list", "all grants of session 38"),
        ("chapar trace list", "the calls just made; `chapar trace show ID` draws one as a tree"),
        ("chapar audit list", "who changed what, and when"),
        ("chapar grant revoke 38-1/4/ipm/shahkar --reason test", "ends the right, and running calls, within a second"),
    ] {
        tell(&format!("  {command:<58} {what}"));
    }
    heading("Addresses");
    tell(&format!("  control plane: metrics and health at http://{}/metrics", plane.address("http")));
    tell("  Each agency's applications call its own sidecar in plain HTTP/2 (gRPC without TLS):\n");
    for sidecar in mesh.sidecars() {
        let (outbound, admin) = (sidecar.address("outbound"), sidecar.address("admin"));
        tell(&format!("  {:<24} calls http://{outbound}   metrics http://{admin}/metrics", sidecar.agency()));
    }
    tell(&format!("\n  Logs, configuration and state of every process: {}", mesh.folder().display()));
}
