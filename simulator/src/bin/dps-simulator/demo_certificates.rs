//! Creates a root, an intermediate and device certificates, to try X.509.

use std::error::Error;
use std::fs;
use std::path::Path;

use azure_iot_dps::RegistrationId;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

/// Writes `root.pem`, `intermediate.pem`, and `{id}-chain.pem` and `{id}-key.pem` of each device.
///
/// Returns the root.
pub(crate) fn make(folder: &Path, devices: &[RegistrationId]) -> Result<String, Box<dyn Error>> {
    fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let write = |name: &str, pem: &str| {
        let file = folder.join(name);
        fs::write(&file, pem).map_err(|error| format!("{}: {error}", file.display()))
    };
    let root_key = KeyPair::generate()?;
    let root = authority("azure-iot-dps demo root");
    let root_pem = root.self_signed(&root_key)?.pem();
    let root = Issuer::new(root, root_key);
    let key = KeyPair::generate()?;
    let intermediate = authority("azure-iot-dps demo intermediate");
    let intermediate_pem = intermediate.signed_by(&key, &root)?.pem();
    let intermediate = Issuer::new(intermediate, key);
    write("root.pem", &root_pem)?;
    write("intermediate.pem", &intermediate_pem)?;
    for device in devices {
        let key = KeyPair::generate()?;
        let mut leaf = named(device.as_str());
        leaf.extended_key_usages = [ExtendedKeyUsagePurpose::ClientAuth].into();
        let certificate = leaf.signed_by(&key, &intermediate)?;
        write(&format!("{device}-chain.pem"), &(certificate.pem() + &intermediate_pem))?;
        write(&format!("{device}-key.pem"), &key.serialize_pem())?;
    }
    Ok(root_pem)
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn authority(name: &str) -> CertificateParams {
    let mut params = named(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = [KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign].into();
    params
}
