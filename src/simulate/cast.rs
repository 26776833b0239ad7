//! Who plays: the configured vendors whose callbacks can be signed with what is at hand.

use crate::config::{Config, Environment, MissingSecret, Scheme, Secret, VendorConfig};

use super::{
    fact::Generator,
    generic::{Generic, Proof},
    sendgrid::SendGrid,
    sign::{SendGridKey, TwilioKey},
    twilio::Twilio,
};

/// The variable with SendGrid's side of the key pair: base64 of PKCS#8 DER.
pub const SENDGRID_KEY: &str = "SIMULATE_SENDGRID_PRIVATE_KEY";

/// Why a vendor cannot be played.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SimulateError {
    #[error("vendor {name} is not in the configuration; it has {known}")]
    UnknownVendor { name: String, known: String },
    /// The vendor's secret is not in the environment.
    #[error("vendor {vendor} cannot be played: {missing}")]
    NoSecret { vendor: String, missing: MissingSecret },
    /// The scheme is asymmetric: the configuration holds only the key that verifies.
    #[error(
        "vendor {vendor} cannot be played: environment variable {SENDGRID_KEY} is not set \
         (base64 PKCS#8 of the private key that belongs to its public key)"
    )]
    NoPrivateKey { vendor: String },
    /// What is there is not a key of the scheme, or not the one that the configuration verifies with.
    #[error("vendor {vendor} cannot be played: {problem}")]
    BadKey { vendor: String, problem: String },
    /// The configuration gives the vendor nothing that it could report.
    #[error("vendor {vendor} cannot be played: {problem}")]
    NothingToTell { vendor: String, problem: String },
    #[error("no configured vendor can be played: {reasons}")]
    Nobody { reasons: String },
}

/// The vendors that play.
pub struct Cast {
    pub generators: Vec<Box<dyn Generator>>,
    /// Vendors that nobody asked for by name and that cannot be played.
    pub skipped: Vec<SimulateError>,
}

impl Cast {
    /// The vendors of these names, or every vendor that can be played where none is named.
    ///
    /// # Errors
    /// A vendor that was named cannot be played, or none at all can.
    pub fn new(config: &Config, names: &[String], environment: Environment) -> Result<Self, SimulateError> {
        let mut cast = Self { generators: Vec::new(), skipped: Vec::new() };
        for name in names {
            let known = || config.vendors.keys().cloned().collect::<Vec<_>>().join(", ");
            let vendor = config
                .vendors
                .get(name)
                .ok_or_else(|| SimulateError::UnknownVendor { name: name.clone(), known: known() })?;
            cast.generators.push(generator(config, name, vendor, environment)?);
        }
        if names.is_empty() {
            for (name, vendor) in &config.vendors {
                match generator(config, name, vendor, environment) {
                    Ok(generator) => cast.generators.push(generator),
                    Err(error) => cast.skipped.push(error),
                }
            }
        }
        if cast.generators.is_empty() {
            let reasons: Vec<String> = cast.skipped.iter().map(ToString::to_string).collect();
            return Err(SimulateError::Nobody { reasons: reasons.join("; ") });
        }
        Ok(cast)
    }
}

fn generator(
    config: &Config,
    name: &str,
    vendor: &VendorConfig,
    environment: Environment,
) -> Result<Box<dyn Generator>, SimulateError> {
    let bad = |problem: &str| SimulateError::BadKey { vendor: name.to_owned(), problem: problem.to_owned() };
    let nothing = |problem| SimulateError::NothingToTell { vendor: name.to_owned(), problem };
    Ok(match vendor.scheme {
        Scheme::Twilio => {
            let key = twilio_key(name, vendor)?;
            Box::new(Twilio::new(name, vendor, &config.public_url, key).map_err(nothing)?)
        }
        Scheme::Sendgrid => {
            let private = environment(SENDGRID_KEY).map(Secret::new);
            let private = private.as_ref().or_else(|| config.demo_secrets.get(SENDGRID_KEY));
            let private = private.ok_or_else(|| SimulateError::NoPrivateKey { vendor: name.to_owned() })?;
            let key = SendGridKey::parse(private.expose())
                .ok_or_else(|| bad(&format!("{SENDGRID_KEY} is not base64 of a PKCS#8 P-256 key")))?;
            let mut publics = vendor.secrets.iter().filter_map(|secret| secret.as_ref().ok()).peekable();
            if publics.peek().is_some() && !publics.any(|public| public.expose().trim() == key.public()) {
                return Err(bad(&format!("{SENDGRID_KEY} does not belong to a configured public key")));
            }
            Box::new(SendGrid::new(name, vendor, key).map_err(nothing)?)
        }
        Scheme::None => Box::new(Generic::new(name, vendor, Proof::Nothing).map_err(nothing)?),
        scheme if scheme.is_generic() => {
            let proof = Proof::new(vendor, live(name, vendor)?.expose(), &config.public_url).map_err(bad)?;
            Box::new(Generic::new(name, vendor, proof).map_err(nothing)?)
        }
        _ => return Err(nothing("the simulator does not know its scheme yet".to_owned())),
    })
}

fn twilio_key(name: &str, vendor: &VendorConfig) -> Result<TwilioKey, SimulateError> {
    let shared = vendor.shared_keys.iter().find_map(|(id, secret)| Some((id, secret.as_ref().ok()?)));
    match (live(name, vendor), shared) {
        (Ok(token), _) => Ok(TwilioKey::auth_token(token.expose())),
        (Err(_), Some((id, secret))) => Ok(TwilioKey::shared(id, secret.expose())),
        (Err(error), None) => Err(error),
    }
}

/// The first secret that is there: any live one may sign.
fn live<'a>(name: &str, vendor: &'a VendorConfig) -> Result<&'a Secret, SimulateError> {
    let missing = || match vendor.secrets.iter().chain(vendor.shared_keys.values()).find_map(|s| s.as_ref().err()) {
        Some(missing) => SimulateError::NoSecret { vendor: name.to_owned(), missing: missing.clone() },
        None => SimulateError::BadKey { vendor: name.to_owned(), problem: "it has no secret".to_owned() },
    };
    vendor.secrets.iter().find_map(|secret| secret.as_ref().ok()).ok_or_else(missing)
}
