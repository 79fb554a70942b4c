//! Addresses as OpenTelemetry's semantic conventions want them: host and port apart (`server.address`, `server.port`).

/// Host and port of `host:port` and `[v6]:port`. What is neither, such as the path of a socket, is all host. [`join`] undoes it.
#[must_use]
pub fn split(address: &str) -> (&str, Option<u16>) {
    let Some((host, port)) = address.rsplit_once(':') else { return (address, None) };
    let bare = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(v6) if v6.contains(':') => v6,
        None if !host.is_empty() && !host.contains([':', '[', ']']) => host,
        _ => return (address, None),
    };
    // A port has one way to be written: otherwise the two would not make the address again.
    match port.parse::<u16>() {
        Ok(number) if number > 0 && !port.starts_with(['0', '+']) => (bare, Some(number)),
        _ => (address, None),
    }
}

/// Appends the address of this host and port to `to`.
pub fn join(host: &str, port: Option<u16>, to: &mut String) {
    use std::fmt::Write as _;
    // Writing to a String cannot fail.
    let _ = match port {
        None => to.write_str(host),
        Some(port) if host.contains(':') => write!(to, "[{host}]:{port}"),
        Some(port) => write!(to, "{host}:{port}"),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn again(address: &str) -> String {
        let (host, port) = split(address);
        let mut joined = String::new();
        join(host, port, &mut joined);
        joined
    }

    #[test]
    fn hosts_and_ports_are_told_apart() {
        assert_eq!(split("10.0.0.1:15002"), ("10.0.0.1", Some(15_002)));
        assert_eq!(split("register.example:443"), ("register.example", Some(443)));
        assert_eq!(split("[2001:db8::1]:443"), ("2001:db8::1", Some(443)));
    }

    #[test]
    fn what_has_no_port_is_all_host() {
        for address in ["", "10.0.0.1", "unix:/run/app.sock", "2001:db8::1", "host:0", "host:00080", "host:65536", ":80", "[a]:1"]
        {
            assert_eq!(split(address), (address, None));
        }
    }

    #[test]
    fn the_two_make_the_address_again() {
        for address in ["10.0.0.1:15002", "[::1]:1", "unix:/run/app.sock", "a:b:80", "[::1]", "x:+1", "[[::1]]:5", "unix:80"] {
            assert_eq!(again(address), address);
        }
    }
}
