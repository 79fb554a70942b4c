//! What one unary call costs the relay alone, without sockets and TLS: prints the median of rounds, in ns a call, for each scenario.
//! Named as arguments, only those are run.

#[path = "../tests/steady/mod.rs"]
mod steady;

fn main() {
    let named: Vec<String> = std::env::args().skip(1).collect();
    println!("{:<16} {:>10} {:>14}", "scenario", "ns/call", "calls");
    for (name, clients, streams, bytes, rounds) in [
        ("1x1-100b", 1, 1, 100, 40_000),
        ("10x10-100b", 10, 10, 100, 4_000),
        ("50x10-100b", 50, 10, 100, 800),
        ("10x10-10kb", 10, 10, 10_240, 800),
        ("1x1-1mb", 1, 1, 1 << 20, 900),
    ] {
        if !named.is_empty() && !named.iter().any(|wanted| wanted == name) {
            continue;
        }
        let mut steady = steady::Steady::new(clients, streams, bytes);
        let calls = clients * streams;
        let mut costs: Vec<u128> = (0..rounds)
            .map(|_| {
                let before = steady.spent;
                steady.round();
                (steady.spent - before).as_nanos() / calls as u128
            })
            .collect();
        costs.sort_unstable();
        assert_eq!(steady.relay.gate().served, (rounds * calls) as u64);
        println!("{name:<16} {:>10} {:>14}", costs[costs.len() / 2], rounds * calls);
    }
}
