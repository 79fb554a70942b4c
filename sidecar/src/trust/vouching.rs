//! Which roots may be trusted: those that are, and those that one of them certifies. Whoever signs snapshots with the key of an issuing CA,
//! as its thief can, adds no root: only the key of a root that is trusted makes the certificate that it takes.

use chapar_core::time::Timestamp;
use rustls::pki_types::CertificateDer;
use x509_parser::{certificate::X509Certificate, prelude::FromDer as _};

/// Most cross-certificates that are looked at. Each rotation of the root makes one, and a root lives for years.
const CROSS_CERTIFICATES_MAX: usize = 64;

/// Roots that were offered, by whether they may be trusted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vouched {
    /// Held before, or certified by one that is, or by one that is certified so.
    pub trusted: Vec<CertificateDer<'static>>,
    /// The others.
    pub unproven: Vec<CertificateDer<'static>>,
}

/// Judges the roots that are `offered` by those that are `held`, and by `cross_certificates`, at the instant `at`.
#[must_use]
pub fn vouched(
    held: &[CertificateDer<'static>],
    offered: Vec<CertificateDer<'static>>,
    cross_certificates: &[CertificateDer<'_>],
    at: Timestamp,
) -> Vouched {
    let cross: Vec<_> = cross_certificates.iter().take(CROSS_CERTIFICATES_MAX).filter_map(|der| read(der)).collect();
    // One that is no longer offered may still vouch: it is trusted until what is offered is taken.
    let mut vouchers = held.to_vec();
    let (mut trusted, mut unproven): (Vec<_>, Vec<_>) = offered.into_iter().partition(|root| held.contains(root));
    loop {
        let certified = |root: &CertificateDer<'_>| vouchers.iter().any(|voucher| certifies(voucher, root, &cross, at));
        let (proven, rest): (Vec<_>, Vec<_>) = unproven.into_iter().partition(certified);
        unproven = rest;
        if proven.is_empty() {
            return Vouched { trusted, unproven };
        }
        vouchers.extend(proven.iter().cloned());
        trusted.extend(proven);
    }
}

/// Whether one of the cross-certificates is of this root's key and name, and was made by the voucher for this time.
fn certifies(voucher: &CertificateDer<'_>, root: &CertificateDer<'_>, cross: &[X509Certificate<'_>], at: Timestamp) -> bool {
    let (Some(voucher), Some(root)) = (read(voucher), read(root)) else { return false };
    cross.iter().any(|cross| {
        cross.public_key().raw == root.public_key().raw
            && cross.subject().as_raw() == root.subject().as_raw()
            && cross.issuer().as_raw() == voucher.subject().as_raw()
            && cross.is_ca()
            && is_valid(cross, at)
            && is_valid(&voucher, at)
            && cross.verify_signature(Some(voucher.public_key())).is_ok()
    })
}

fn is_valid(certificate: &X509Certificate<'_>, at: Timestamp) -> bool {
    let validity = certificate.validity();
    (validity.not_before.timestamp()..=validity.not_after.timestamp()).contains(&at.unix_s())
}

fn read<'a>(der: &'a CertificateDer<'_>) -> Option<X509Certificate<'a>> {
    X509Certificate::from_der(der).ok().filter(|(rest, _)| rest.is_empty()).map(|(_, certificate)| certificate)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

    use super::*;

    type Root = CertifiedIssuer<'static, KeyPair>;

    fn named(name: &str, is_ca: IsCa) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = is_ca;
        params
    }

    fn root(name: &str) -> Root {
        CertifiedIssuer::self_signed(named(name, IsCa::Ca(BasicConstraints::Unconstrained)), KeyPair::generate().unwrap())
            .unwrap()
    }

    fn der(root: &Root) -> CertificateDer<'static> {
        root.der().clone()
    }

    /// `of` as `by` certifies it, under another name if need be.
    fn cross(of: &Root, name: &str, by: &Root, is_ca: IsCa) -> CertificateDer<'static> {
        named(name, is_ca).signed_by(of.key(), by).unwrap().der().clone()
    }

    const CA: IsCa = IsCa::Ca(BasicConstraints::Unconstrained);

    fn now() -> Timestamp {
        Timestamp::from_unix_s(1_900_000_000)
    }

    #[test]
    fn a_root_is_trusted_that_a_trusted_one_certifies_also_over_several_steps() {
        let (first, second, third) = (root("root-1"), root("root-2"), root("root-3"));
        let steps = [cross(&third, "root-3", &second, CA), cross(&second, "root-2", &first, CA)];
        let judged = vouched(&[der(&first)], vec![der(&third), der(&second)], &steps, now());
        assert_eq!((judged.trusted, judged.unproven), (vec![der(&second), der(&third)], vec![]));
        let gap = vouched(&[der(&first)], vec![der(&third), der(&first)], &steps[..1], now());
        assert_eq!((gap.trusted, gap.unproven), (vec![der(&first)], vec![der(&third)]));
    }

    #[test]
    fn no_root_is_trusted_for_its_name_its_word_or_a_certificate_of_something_else() {
        let (held, own) = (root("root-1"), root("root-2"));
        // It bears the name of the one that is held, and certifies the thief's own.
        let namesake = root("root-1");
        let end = cross(&own, "root-2", &held, IsCa::ExplicitNoCa);
        let (other_name, other_key) = (cross(&own, "root-9", &held, CA), cross(&root("x"), "root-2", &held, CA));
        let of_held = cross(&held, "root-1", &own, CA);
        for (what, shown) in [
            ("nothing", vec![]),
            ("by a namesake", vec![cross(&own, "root-2", &namesake, CA)]),
            ("by itself", vec![der(&own)]),
            ("that is no CA's", vec![end]),
            ("with another name or key", vec![other_name, other_key]),
            ("the other way around", vec![of_held]),
        ] {
            let judged = vouched(&[der(&held)], vec![der(&held), der(&own)], &shown, now());
            assert_eq!(judged, Vouched { trusted: vec![der(&held)], unproven: vec![der(&own)] }, "{what}");
        }
        let late =
            vouched(&[der(&held)], vec![der(&own)], &[cross(&own, "root-2", &held, CA)], Timestamp::from_unix_s(99_999_999_999));
        assert!(late.trusted.is_empty(), "a cross-certificate ends");
    }
}
