//! The certificate authority of one cluster.

use std::net::{IpAddr, Ipv4Addr};

use p256::SecretKey;
use p256::ecdsa::{DerSignature, SigningKey};
use p256::elliptic_curve::Generate;
use p256::pkcs8::{DecodePrivateKey, EncodePrivateKey, EncodePublicKey, LineEnding};
use sha2::{Digest, Sha256};
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::builder::profile::BuilderProfile;
use x509_cert::builder::{Builder, CertificateBuilder};
use x509_cert::certificate::TbsCertificate;
use x509_cert::der::asn1::{Any, Ia5String, Utf8StringRef};
use x509_cert::der::oid::ObjectIdentifier;
use x509_cert::der::oid::db::rfc4519::{COMMON_NAME, ORGANIZATION_NAME};
use x509_cert::der::oid::db::rfc5280::{ID_KP_CLIENT_AUTH, ID_KP_SERVER_AUTH};
use x509_cert::der::{DateTime, Decode, Encode, EncodePem};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages, SubjectAltName};
use x509_cert::ext::{Extension, ToExtension};
use x509_cert::name::{Name, RdnSequence, RelativeDistinguishedName};
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::{SubjectPublicKeyInfoOwned, SubjectPublicKeyInfoRef};
use x509_cert::time::{Time, Validity};

use crate::Error;

const AUTHORITY: &str = "lockbox-cluster";

/// A certificate and its private key (PKCS#8), both PEM.
pub(crate) struct Issued {
    pub(crate) certificate_pem: String,
    pub(crate) key_pem: String,
}

/// Signs the certificates of the API server and of any number of users.
pub(crate) struct Authority {
    key: SigningKey,
    pub(crate) certificate_pem: String,
}

/// A certificate for a server on loopback (`localhost`, `127.0.0.1`), signed by an authority of its own. All are PEM.
#[derive(Clone)]
pub struct Loopback {
    /// The authority, which only those trust who are given it.
    pub ca_pem: String,
    /// The server's certificate.
    pub certificate_pem: String,
    /// The server's private key (PKCS#8).
    pub key_pem: String,
}

impl Loopback {
    /// A new authority, and a certificate by it.
    pub fn new() -> Result<Loopback, Error> {
        let authority = Authority::new()?;
        let Issued { certificate_pem, key_pem } = authority.server()?;
        Ok(Loopback { ca_pem: authority.certificate_pem, certificate_pem, key_pem })
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

impl Authority {
    /// A new authority with a key of its own.
    pub(crate) fn new() -> Result<Authority, Error> {
        let make = || -> Result<Authority, Failure> {
            let key = SigningKey::from(&SecretKey::try_generate()?);
            let extensions = vec![
                extension(&BasicConstraints { ca: true, path_len_constraint: None })?,
                extension(&KeyUsage(KeyUsages::KeyCertSign | KeyUsages::CRLSign))?,
            ];
            let certificate_pem = sign(&key, &name(AUTHORITY, &[])?, &key, extensions)?;
            Ok(Authority { key, certificate_pem })
        };
        make().map_err(failed("make a certificate authority"))
    }

    /// An authority from what [`Authority::key_pem`] and `certificate_pem` gave.
    pub(crate) fn load(certificate_pem: String, key_pem: &str) -> Result<Authority, Error> {
        let key = SecretKey::from_pkcs8_pem(key_pem).map_err(|e| failed("read the authority's key")(e.into()))?;
        Ok(Authority { key: SigningKey::from(&key), certificate_pem })
    }

    pub(crate) fn key_pem(&self) -> Result<String, Error> {
        key_pem(&self.key).map_err(failed("write the authority's key"))
    }

    /// A certificate for the API server on loopback.
    pub(crate) fn server(&self) -> Result<Issued, Error> {
        let names = ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"];
        let make = || -> Result<Issued, Failure> {
            let mut alternatives = vec![GeneralName::from(IpAddr::V4(Ipv4Addr::LOCALHOST))];
            for name in names {
                alternatives.push(GeneralName::DnsName(Ia5String::new(name)?));
            }
            let extensions =
                vec![extension(&SubjectAltName(alternatives))?, extension(&ExtendedKeyUsage(vec![ID_KP_SERVER_AUTH]))?];
            self.issue(&name("kube-apiserver", &[])?, extensions)
        };
        make().map_err(failed("make the API server's certificate"))
    }

    /// A certificate that the API server takes for `user` in `groups`: common name and organizations.
    pub(crate) fn client(&self, user: &str, groups: &[&str]) -> Result<Issued, Error> {
        let make = || self.issue(&name(user, groups)?, vec![extension(&ExtendedKeyUsage(vec![ID_KP_CLIENT_AUTH]))?]);
        make().map_err(failed("make a user's certificate"))
    }

    fn issue(&self, subject: &Name, mut extensions: Vec<Extension>) -> Result<Issued, Failure> {
        let key = SigningKey::from(&SecretKey::try_generate()?);
        extensions.push(extension(&KeyUsage(KeyUsages::DigitalSignature.into()))?);
        Ok(Issued { certificate_pem: sign(&self.key, subject, &key, extensions)?, key_pem: key_pem(&key)? })
    }
}

/// A new key for signing ServiceAccount tokens: the private part (PKCS#8) and the public part, both PEM.
pub(crate) fn token_key_pem() -> Result<(String, String), Error> {
    let make = || -> Result<(String, String), Failure> {
        let key = SecretKey::try_generate()?;
        Ok((key_pem(&SigningKey::from(&key))?, key.public_key().to_public_key_pem(LineEnding::LF)?))
    };
    make().map_err(failed("make the key for ServiceAccount tokens"))
}

fn failed(action: &'static str) -> impl Fn(Failure) -> Error {
    move |error| Error::Certificate { action, reason: error.to_string() }
}

fn key_pem(key: &SigningKey) -> Result<String, Failure> {
    Ok(SecretKey::from(key).to_pkcs8_pem(LineEnding::LF)?.to_string())
}

/// A distinguished name; unlike a parsed one it takes any character, and as many organizations as there are groups.
fn name(common_name: &str, organizations: &[&str]) -> Result<Name, Failure> {
    let mut sequence = RdnSequence::default();
    let mut push = |oid: ObjectIdentifier, value: &str| -> Result<(), Failure> {
        let mut part = RelativeDistinguishedName::default();
        part.insert(AttributeTypeAndValue { oid, value: Any::from(Utf8StringRef::new(value)?) })?;
        sequence.push(part);
        Ok(())
    };
    for organization in organizations {
        push(ORGANIZATION_NAME, organization)?;
    }
    push(COMMON_NAME, common_name)?;
    Ok(Name::from_der(&sequence.to_der()?)?)
}

fn extension<E>(value: &E) -> Result<Extension, Failure>
where
    for<'a> &'a E: ToExtension<Error = x509_cert::der::Error>,
{
    Ok(value.to_extension(&Name::default(), &[])?)
}

/// Wide enough for tests that move the clock.
fn validity() -> Result<Validity, Failure> {
    let at = |year| -> Result<Time, Failure> { Ok(Time::from(DateTime::new(year, 1, 1, 0, 0, 0)?)) };
    Ok(Validity::new(at(2020)?, at(2049)?))
}

/// What a certificate says besides its key: everything is given beforehand.
struct Contents {
    subject: Name,
    extensions: Vec<Extension>,
}

impl BuilderProfile for Contents {
    fn get_issuer(&self, _subject: &Name) -> Name {
        // The names of an authority consist of letters alone: this cannot fail, and an empty issuer would be refused.
        name(AUTHORITY, &[]).unwrap_or_default()
    }

    fn get_subject(&self) -> Name {
        self.subject.clone()
    }

    fn build_extensions(
        &self,
        _key: SubjectPublicKeyInfoRef<'_>,
        _issuer_key: SubjectPublicKeyInfoRef<'_>,
        _certificate: &TbsCertificate,
    ) -> x509_cert::builder::Result<Vec<Extension>> {
        Ok(self.extensions.clone())
    }
}

fn sign(
    authority: &SigningKey,
    subject: &Name,
    key: &SigningKey,
    extensions: Vec<Extension>,
) -> Result<String, Failure> {
    let public = SubjectPublicKeyInfoOwned::from_key(key.verifying_key())?;
    // Unique because the key is new; the first bit stays clear, as serial numbers are positive.
    let mut serial: Vec<u8> = Sha256::digest(public.to_der()?).iter().take(16).copied().collect();
    serial[0] &= 0x7f;
    serial[0] |= 0x40;
    let contents = Contents { subject: subject.clone(), extensions };
    let builder = CertificateBuilder::new(contents, SerialNumber::new(&serial)?, validity()?, public)?;
    Ok(builder.build::<_, DerSignature>(authority)?.to_pem(LineEnding::LF)?)
}

#[cfg(test)]
mod tests {
    use x509_cert::Certificate;
    use x509_cert::der::DecodePem;

    use super::*;

    #[test]
    fn a_user_with_many_groups_and_odd_characters_gets_them_all_in_order() {
        let authority = Authority::new().unwrap();
        let issued = authority.client("o=hara, kim+1@provider.example", &["provider:engineers", "a,b"]).unwrap();
        let certificate = Certificate::from_pem(issued.certificate_pem).unwrap();
        let values: Vec<String> = certificate
            .tbs_certificate()
            .subject()
            .iter()
            .map(|part| String::from_utf8(part.value.value().to_vec()).unwrap())
            .collect();
        assert_eq!(values, ["provider:engineers", "a,b", "o=hara, kim+1@provider.example"]);
    }

    #[test]
    fn an_authority_is_the_same_after_it_was_written_and_read() {
        let authority = Authority::new().unwrap();
        let read = Authority::load(authority.certificate_pem.clone(), &authority.key_pem().unwrap()).unwrap();
        assert_eq!(read.key, authority.key);
    }
}
