//! Certificates for a day, from an authority that a test makes up.

use anyhow::{Context as _, Result};
use openssl::asn1::Asn1Time;
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::x509::extension::{BasicConstraints, KeyUsage, SubjectAlternativeName};
use openssl::x509::{X509, X509Builder, X509NameBuilder};
use std::fs::{self, Permissions};
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Somebody who says who others are.
#[derive(Debug)]
pub struct Authority {
    certificate: X509,
    key: PKey<Private>,
}

/// A certificate and its key, in PEM.
#[derive(Debug, Clone)]
pub struct Certificate {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Authority {
    /// An authority that nobody trusts yet.
    ///
    /// # Errors
    /// When OpenSSL fails.
    pub fn new(name: &str) -> Result<Self> {
        let key = key()?;
        let mut builder = unsigned(name, name, &key)?;
        builder.append_extension(BasicConstraints::new().critical().ca().build()?)?;
        builder.append_extension(KeyUsage::new().critical().key_cert_sign().crl_sign().build()?)?;
        builder.sign(&key, MessageDigest::sha256())?;
        Ok(Self { certificate: builder.build(), key })
    }

    /// Writes its own certificate: what those who trust it are given.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        fs::write(path, self.certificate.to_pem()?).with_context(|| format!("writing {}", path.display()))
    }

    /// A certificate for a server with these names and addresses, or for a client.
    ///
    /// # Errors
    /// When OpenSSL fails.
    pub fn issue(&self, names: &[&str]) -> Result<Certificate> {
        let key = key()?;
        let issuer = common_name(&self.certificate);
        let mut builder = unsigned(names.first().context("a certificate needs a name")?, &issuer, &key)?;
        let mut alternative = SubjectAlternativeName::new();
        for name in names {
            if name.parse::<IpAddr>().is_ok() {
                alternative.ip(name)
            } else {
                alternative.dns(name)
            };
        }
        let context = builder.x509v3_context(Some(&self.certificate), None);
        let alternative = alternative.build(&context)?;
        builder.append_extension(alternative)?;
        builder.sign(&self.key, MessageDigest::sha256())?;
        Ok(Certificate { certificate: builder.build().to_pem()?, key: key.private_key_to_pem_pkcs8()? })
    }
}

impl Certificate {
    /// Writes both to files of their own; the key for its owner's eyes only.
    ///
    /// # Errors
    /// When one cannot be written.
    pub fn write(&self, certificate: &Path, key: &Path) -> Result<()> {
        fs::write(certificate, &self.certificate).with_context(|| format!("writing {}", certificate.display()))?;
        fs::write(key, &self.key).with_context(|| format!("writing {}", key.display()))?;
        fs::set_permissions(key, Permissions::from_mode(0o600)).context("hiding a private key")
    }

    /// Key and certificate as one text, which Kafka calls a PEM key store.
    pub(crate) fn key_store(&self) -> Vec<u8> {
        [&self.key[..], &self.certificate].concat()
    }
}

fn key() -> Result<PKey<Private>> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
    Ok(PKey::from_ec_key(EcKey::generate(&group)?)?)
}

fn unsigned(subject: &str, issuer: &str, key: &PKey<Private>) -> Result<X509Builder> {
    let name = |text: &str| -> Result<_> {
        let mut name = X509NameBuilder::new()?;
        name.append_entry_by_nid(Nid::COMMONNAME, text)?;
        Ok(name.build())
    };
    let mut serial = BigNum::new()?;
    serial.rand(127, MsbOption::MAYBE_ZERO, false)?;
    let mut builder = X509::builder()?;
    builder.set_version(2)?;
    let serial = serial.to_asn1_integer()?;
    builder.set_serial_number(&serial)?;
    builder.set_subject_name(&*name(subject)?)?;
    builder.set_issuer_name(&*name(issuer)?)?;
    builder.set_pubkey(key)?;
    // The clocks of a test's processes are one clock.
    let (from, to) = (Asn1Time::days_from_now(0)?, Asn1Time::days_from_now(1)?);
    builder.set_not_before(&from)?;
    builder.set_not_after(&to)?;
    Ok(builder)
}

fn common_name(certificate: &X509) -> String {
    let entry = certificate.subject_name().entries_by_nid(Nid::COMMONNAME).next();
    entry.and_then(|entry| entry.data().to_string().ok()).unwrap_or_default()
}
