//! What the arguments and the variables say about a device and its service.

use std::error::Error;
use std::path::{Path, PathBuf};

#[cfg(feature = "x509")]
use azure_iot_dps::attestation::ClientCertificate;
use azure_iot_dps::{DeviceKey, Endpoint, IdScope, RegistrationId, Roots};

use super::device::{DeviceArguments, Identity};
use super::{Named, Result, variable};

/// What is given. Empty variables count as not set.
pub struct Given {
    host: Option<Named>,
    id_scope: Option<Named>,
    registration_id: Option<Named>,
    key: Option<Named>,
    certificate: Option<PathBuf>,
    private_key: Option<PathBuf>,
    ca_cert: Option<PathBuf>,
}

impl Given {
    /// Reads the arguments, and the variables for those that are missing.
    pub fn of(arguments: &DeviceArguments) -> Result<Self> {
        let file = |argument: &Option<PathBuf>, names: &[&str]| {
            let variables = names.iter().map(|name| variable(name));
            let found = variables.collect::<Result<Vec<_>>>()?.into_iter().flatten().next();
            Ok::<_, Box<dyn Error>>(argument.clone().or(found.map(PathBuf::from)))
        };
        // A flag counts before a variable.
        let by_key = arguments.key_file.is_some();
        if by_key && arguments.certificate.is_some() {
            return Err("--key-file and --certificate: a device has a key or a certificate, not both".into());
        }
        let certificate_variables: &[&str] = if by_key { &[] } else { &["CERTIFICATE_FILE", "X509_CERT_FILE"] };
        Ok(Self {
            host: Named::given(arguments.host.as_ref(), "--host", "PROVISIONING_HOST")?,
            id_scope: Named::given(arguments.id_scope.as_ref(), "--id-scope", "PROVISIONING_IDSCOPE")?,
            registration_id: Named::given(
                arguments.registration_id.as_ref(),
                "--registration-id",
                "PROVISIONING_REGISTRATION_ID",
            )?,
            key: Named::key(arguments.key_file.as_deref(), "PROVISIONING_SYMMETRIC_KEY")?,
            certificate: file(&arguments.certificate, certificate_variables)?,
            private_key: file(&arguments.private_key, &["KEY_FILE", "X509_KEY_FILE"])?,
            ca_cert: file(&arguments.ca_cert, &["PROVISIONING_CA_CERT"])?,
        })
    }

    /// Returns whether nothing is set at all.
    pub fn is_nothing(&self) -> bool {
        let names = [&self.host, &self.id_scope, &self.registration_id, &self.key];
        names.iter().all(|name| name.is_none()) && self.certificate.is_none() && self.ca_cert.is_none()
    }

    /// Returns the names of what is missing to identify the device.
    pub fn missing(&self) -> Vec<&'static str> {
        let by_certificate = self.certificate.is_some();
        let needed = [
            (self.id_scope.is_none(), "PROVISIONING_IDSCOPE (or --id-scope)"),
            (self.registration_id.is_none() && !by_certificate, "PROVISIONING_REGISTRATION_ID (or --registration-id)"),
            (self.key.is_none() && !by_certificate, "PROVISIONING_SYMMETRIC_KEY (or --key-file)"),
        ];
        needed.into_iter().filter_map(|(is_missing, name)| is_missing.then_some(name)).collect()
    }

    /// Returns the endpoint of the service. Default: the global one.
    pub fn endpoint(&self) -> Result<Endpoint> {
        let Some(host) = &self.host else { return Ok(Endpoint::GLOBAL) };
        host.parse(str::parse).map_err(|error| {
            let of_url = host.text.split_once("//").and_then(|(_, rest)| rest.split('/').next());
            match of_url.and_then(|endpoint| endpoint.parse::<Endpoint>().ok()) {
                Some(endpoint) => format!("{error}; write {endpoint}").into(),
                None => error,
            }
        })
    }

    /// Returns the bundled roots, and those of the file.
    pub fn roots(&self) -> Result<Roots> {
        Ok(self.ca_cert.as_ref().map(Roots::file).transpose()?.map_or(Roots::bundled(), Roots::and_bundled))
    }

    /// Returns the ID scope, what proves the device's identity, and the registration ID.
    pub fn identity(&self) -> Result<(IdScope, Identity, RegistrationId)> {
        let incomplete = || not_set(&self.missing());
        let id_scope = self.id_scope.as_ref().ok_or_else(incomplete)?.parse(|text| IdScope::new(text))?;
        let registration_id = self.registration_id.as_ref().map(|id| id.parse(|text| RegistrationId::new(text)));
        let registration_id = registration_id.transpose()?;
        if let Some(certificate) = &self.certificate {
            let (identity, own_id) = certificate_of(certificate, self.private_key.as_deref())?;
            return Ok((id_scope, identity, registration_id.unwrap_or(own_id)));
        }
        let (registration_id, key) = registration_id.zip(self.key.as_ref()).ok_or_else(incomplete)?;
        Ok((id_scope, Identity::Key(key.parse(DeviceKey::from_base64)?), registration_id))
    }
}

/// Reads a device's certificate, whose common name is the registration ID.
#[cfg(feature = "x509")]
fn certificate_of(chain: &Path, private_key: Option<&Path>) -> Result<(Identity, RegistrationId)> {
    let certificate = ClientCertificate::files(chain, private_key.unwrap_or(chain))?;
    let registration_id = certificate.registration_id()?;
    Ok((Identity::Certificate(certificate), registration_id))
}

#[cfg(not(feature = "x509"))]
fn certificate_of(_: &Path, _: Option<&Path>) -> Result<(Identity, RegistrationId)> {
    Err("a certificate: this program was built without `--features x509`".into())
}

/// An error that names what is not set.
pub fn not_set(names: &[&str]) -> Box<dyn Error> {
    format!("not set: {}", names.join(", ")).into()
}
