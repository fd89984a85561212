//! Which authorities count: the public ones, the system's, and the customer's own.

use std::sync::{Arc, OnceLock};

use lettre::transport::smtp::client::{Certificate, CertificateStore, TlsParameters};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject as _},
};

use super::{DeliveryStep, Trouble, delivery::causes, secrets};

/// The file with the customer's own authorities.
pub(super) const FILE: &str = "ca.crt";
/// Most authorities of the customer's in a file, and most of the system's.
const MOST: usize = 1024;

/// The authorities besides the public ones, which are part of the program: its image has none.
pub(super) struct Trust {
    others: Vec<CertificateDer<'static>>,
}

impl Trust {
    /// The system's authorities and those of `ca.crt`.
    pub(super) fn new(ca: Option<&str>) -> Result<Self, Trouble> {
        let mut others = system().to_vec();
        if let Some(pem) = ca {
            let own: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).take(MOST).collect();
            let own = own.map_err(|error| secrets::trouble(FILE, &format!("is no PEM: {error}")))?;
            if own.is_empty() || own.iter().any(|certificate| !is_usable(certificate)) {
                return Err(secrets::trouble(FILE, "has no certificate, or one that is none of an authority"));
            }
            others.extend(own);
        }
        Ok(Trust { others })
    }

    /// For connections that are encrypted from the first byte.
    pub(super) fn client(&self) -> Result<ClientConfig, Trouble> {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        roots.add_parsable_certificates(self.others.iter().cloned());
        // Named, as no provider is installed for the whole process.
        let versions = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| Trouble::new(DeliveryStep::Tls, causes(&error)))?;
        Ok(versions.with_root_certificates(roots).with_no_client_auth())
    }

    /// For connections that are encrypted after STARTTLS.
    pub(super) fn starttls(&self, host: &str) -> Result<TlsParameters, Trouble> {
        let trouble = |error: lettre::transport::smtp::Error| Trouble::new(DeliveryStep::Tls, causes(&error));
        let mut builder = TlsParameters::builder(host.to_owned()).certificate_store(CertificateStore::WebpkiRoots);
        for certificate in &self.others {
            builder = builder.add_root_certificate(Certificate::from_der(certificate.to_vec()).map_err(trouble)?);
        }
        builder.build().map_err(trouble)
    }
}

fn is_usable(certificate: &CertificateDer<'static>) -> bool {
    RootCertStore::empty().add(certificate.clone()).is_ok()
}

/// Those of the machine or image (SSL_CERT_FILE and SSL_CERT_DIR name others). Read once: they change with the image.
fn system() -> &'static [CertificateDer<'static>] {
    static SYSTEM: OnceLock<Vec<CertificateDer<'static>>> = OnceLock::new();
    SYSTEM.get_or_init(|| {
        rustls_native_certs::load_native_certs().certs.into_iter().filter(is_usable).take(MOST).collect()
    })
}
