//! The certificate that the agent makes for itself: ECDSA on P-256, made once and kept, because clients know
//! the agent by it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// Name of the file with the certificate.
pub const CERTIFICATE: &str = "api-certificate.pem";

/// Name of the file with its private key.
pub const KEY: &str = "api-key.pem";

/// A certificate with its private key, both as PEM.
#[derive(Clone)]
pub struct Pems {
    /// The certificate, and those that lead to its authority.
    pub certificate: Vec<u8>,
    /// The private key.
    pub key: Vec<u8>,
}

/// The addresses from which this machine would talk to others; at most one of each family. Nothing
/// is sent to find out.
#[must_use]
pub fn addresses() -> Vec<IpAddr> {
    // Addresses for documentation (RFC 5737, RFC 3849): routed like any other, and nobody's.
    let probes = [
        (
            SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 9)),
        ),
        (
            SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
            SocketAddr::from((Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1), 9)),
        ),
    ];
    let own = |(from, to): (SocketAddr, SocketAddr)| {
        let socket = UdpSocket::bind(from).ok()?;
        socket.connect(to).ok()?;
        let ip = socket.local_addr().ok()?.ip();
        (!ip.is_unspecified() && !ip.is_loopback()).then_some(ip)
    };
    probes.into_iter().filter_map(own).collect()
}

#[cfg(feature = "tls")]
pub use made::{MakeError, make, own};

#[cfg(feature = "tls")]
mod made {
    use std::io;
    use std::path::PathBuf;

    use rcgen::{
        CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose, SanType,
    };

    use super::{CERTIFICATE, KEY, Pems, addresses};
    use crate::access::store::{Store, StoreError};

    /// Why there is no certificate.
    #[derive(Debug, thiserror::Error)]
    pub enum MakeError {
        /// It cannot be made.
        #[error("the API's certificate cannot be made: {0}")]
        Make(#[from] rcgen::Error),
        /// It cannot be kept or read.
        #[error("the API's certificate {path} cannot be read or written: {source}")]
        Io {
            /// The file.
            path: PathBuf,
            /// What the system said.
            source: io::Error,
        },
        /// Only one of both files is there.
        #[error(
            "of the API's certificate only {0} is there. Put back the other file, or remove this one as well \
             so that a new certificate is made; clients that know the old one must then pair anew"
        )]
        Half(PathBuf),
        /// Others are changing files.
        #[error(transparent)]
        Store(#[from] StoreError),
    }

    /// The certificate in this store, made if there is none.
    ///
    /// # Errors
    ///
    /// It can be neither read nor made.
    pub fn own(store: &Store, name: &str) -> Result<Pems, MakeError> {
        let _lock = store.lock()?;
        let read = |file: &str| {
            let path = store.folder().join(file);
            match std::fs::read(&path) {
                Ok(bytes) => Ok(Some(bytes)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(source) => Err(MakeError::Io { path, source }),
            }
        };
        match (read(CERTIFICATE)?, read(KEY)?) {
            (Some(certificate), Some(key)) => Ok(Pems { certificate, key }),
            (Some(_), None) => Err(MakeError::Half(store.folder().join(CERTIFICATE))),
            (None, Some(_)) => Err(MakeError::Half(store.folder().join(KEY))),
            (None, None) => {
                let pems = make(name)?;
                for (file, pem) in [(KEY, &pems.key), (CERTIFICATE, &pems.certificate)] {
                    store.write(file, pem).map_err(|source| MakeError::Io {
                        path: store.folder().join(file),
                        source,
                    })?;
                }
                Ok(pems)
            }
        }
    }

    /// A fresh certificate for an agent with this name, on this machine. It has no end: clients know it
    /// by its fingerprint, and a miner's clock may be wrong by decades.
    ///
    /// # Errors
    ///
    /// The name cannot stand in a certificate, or the system gives no random numbers.
    pub fn make(name: &str) -> Result<Pems, rcgen::Error> {
        // A name of a miner need not be one of DNS: underscores are not.
        let plain = |c: char| {
            if c.is_ascii_alphanumeric() || c == '.' {
                c
            } else {
                '-'
            }
        };
        let host: String = name.chars().map(plain).collect();
        let mut names = vec![
            host.clone(),
            format!("{host}.local"),
            "localhost".to_owned(),
            "127.0.0.1".to_owned(),
            "::1".to_owned(),
        ];
        names.extend(addresses().iter().map(ToString::to_string));
        let mut params = CertificateParams::new(names)?;
        params
            .subject_alt_names
            .dedup_by(|a: &mut SanType, b: &mut SanType| a == b);
        params.distinguished_name.push(DnType::CommonName, name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?;
        Ok(Pems {
            certificate: certificate.pem().into_bytes(),
            key: key.serialize_pem().into_bytes(),
        })
    }
}
