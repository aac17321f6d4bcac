//! Whose certificates are believed. A machine's store holds some 150 authorities, and reading them is most of what a function's first
//! invocation computes; AWS's own endpoints are signed by Amazon Trust Services, whose five roots are in `amazon_roots.pem`.

use aws_smithy_http_client::tls::{TlsContext, TrustStore};

/// Roots of Amazon Trust Services (`https://www.amazontrust.com/repository/`), each under its subject and the fingerprint of the certificate.
const AMAZON_ROOTS: &str = include_str!("amazon_roots.pem");

/// Regions whose endpoints are signed by Amazon Trust Services. Others (China, government, isolated) are not known to be.
const REGIONS: [&str; 14] = [
    "us-east-",
    "us-west-",
    "eu-central-",
    "eu-north-",
    "eu-south-",
    "eu-west-",
    "ap-",
    "ca-",
    "sa-east-",
    "af-south-",
    "me-central-",
    "me-south-",
    "il-central-",
    "mx-central-",
];

/// Authorities whose word counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// Those of this machine.
    System,
    /// Amazon Trust Services alone.
    Amazon,
}

impl Trust {
    /// What suits a function with this environment: Amazon alone, unless a certificate store, a proxy or an HTTPS endpoint is named that
    /// somebody else may have signed, or the Region is not one of [`REGIONS`].
    pub fn for_function(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut is_amazons = false;
        for (name, value) in variables.into_iter().filter(|(_, value)| !value.is_empty()) {
            match name.to_ascii_uppercase().as_str() {
                "AWS_REGION" => is_amazons = REGIONS.iter().any(|begin| value.starts_with(begin)),
                "SSL_CERT_FILE" | "SSL_CERT_DIR" | "HTTPS_PROXY" | "HTTP_PROXY" | "ALL_PROXY" => return Self::System,
                name if name.starts_with("AWS_ENDPOINT_URL") && !value.starts_with("http://") => return Self::System,
                _ => {}
            }
        }
        if is_amazons { Self::Amazon } else { Self::System }
    }

    /// As the HTTP client takes it; `None` for its own default, the machine's store.
    pub(crate) fn context(self) -> Option<TlsContext> {
        match self {
            Self::System => None,
            Self::Amazon => TlsContext::builder().with_trust_store(TrustStore::empty().with_pem_certificate(AMAZON_ROOTS)).build().ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variables: &[(&str, &str)]) -> Trust {
        Trust::for_function(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    }

    #[test]
    fn amazon_is_believed_where_only_amazon_can_answer() {
        let region = ("AWS_REGION", "eu-central-1");
        assert_eq!(with(&[region, ("PATH", "/bin"), ("HTTPS_PROXY", ""), ("AWS_ENDPOINT_URL", "http://127.0.0.1:1")]), Trust::Amazon);
        for other in [
            ("SSL_CERT_FILE", "/x.pem"),
            ("SSL_CERT_DIR", "/x"),
            ("https_proxy", "http://proxy.example"),
            ("AWS_ENDPOINT_URL_SSM", "https://ssm.example"),
            ("AWS_REGION", "cn-north-1"),
            ("AWS_REGION", "us-gov-west-1"),
            ("AWS_REGION", "us-iso-east-1"),
        ] {
            assert_eq!(with(&[region, other]), Trust::System, "{other:?}");
        }
        assert_eq!(with(&[]), Trust::System);
    }

    #[test]
    fn the_roots_are_five_certificates() {
        assert_eq!(AMAZON_ROOTS.matches("-----BEGIN CERTIFICATE-----").count(), 5);
        assert!(Trust::Amazon.context().is_some() && Trust::System.context().is_none());
    }
}
