//! Who a client is by its TLS certificate.

use std::sync::Arc;
use tidewire_codec::ReasonCode;
use tidewire_handler::{Authenticate, Authentication, Certificate, Client, Decide, handler};

/// Takes a client's name from the certificate that it has shown: the name becomes the principal.
///
/// It says nothing about clients without a certificate (TLS has refused them already where one is required), and denies
/// those whose certificate has no such name: a certificate that proves nothing is not as good as none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClientCertificate {
    /// What of it is the name.
    pub identity: CertificateIdentity,
    /// What a password counts beside it.
    pub password: CertificatePassword,
}

/// The part of a certificate that is the client's name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CertificateIdentity {
    /// The subject's common name.
    CommonName,
    /// The whole subject: `CN=meter-7, O=Works`.
    Subject,
    /// The first DNS name among the alternative names.
    Dns,
    /// The first e-mail address among the alternative names.
    Email,
    /// The first URI among the alternative names.
    Uri,
}

/// Whether a password is wanted as well.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum CertificatePassword {
    /// The certificate is enough; a user name in CONNECT is not looked at.
    #[default]
    NotWanted,
    /// The client must also log in, under the name that its certificate has: other handlers check the password.
    Wanted,
}

impl CertificateIdentity {
    /// The name in a certificate; `None` = it has none of this kind.
    #[must_use]
    pub fn name_in(self, certificate: &Certificate) -> Option<&str> {
        let alternative = |kind: &str| {
            let names = certificate.alternative_names.iter();
            let mut names =
                names.filter_map(move |name| name.strip_prefix(kind)?.strip_prefix(':'));
            names.next()
        };
        let name = match self {
            Self::CommonName => certificate.common_name.as_deref(),
            Self::Subject => Some(&*certificate.subject),
            Self::Dns => alternative("dns"),
            Self::Email => alternative("email"),
            Self::Uri => alternative("uri"),
        };
        name.filter(|name| !name.is_empty())
    }
}

impl ClientCertificate {
    fn judge(self, certificate: &Certificate, ask: &Authenticate<'_>) -> Decide<Authentication> {
        let Some(name) = self.identity.name_in(certificate) else {
            let text = "the client certificate has no name of the kind that `certificate_identity` asks for";
            return Decide::deny_with(ReasonCode::NotAuthorized, text);
        };
        match (self.password, ask.username.as_deref()) {
            (CertificatePassword::NotWanted, _) => {
                // Nobody who checks passwords is to have another opinion.
                Decide::stop_with(Authentication::accepted(Arc::<str>::from(name)))
            }
            (CertificatePassword::Wanted, Some(user)) if user == name => Decide::go_on(),
            (CertificatePassword::Wanted, _) => {
                let text = "the user name is not the name in the client certificate";
                Decide::deny_with(ReasonCode::BadUserNameOrPassword, text)
            }
        }
    }
}

handler! {
    impl Handler for ClientCertificate {
        fn authenticate(&self, client: &Client, ask: &Authenticate<'_>) -> Decide<Authentication> {
            match client.certificate() {
                // Enhanced authentication proves more than a certificate; its own handlers decide.
                Some(certificate) if ask.method.is_none() => self.judge(certificate, ask),
                _ => Decide::go_on(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::CertificateIdentity;
    use tidewire_handler::Certificate;

    #[test]
    fn a_name_is_taken_from_the_part_that_was_asked_for() {
        let certificate = Certificate {
            common_name: Some("meter-7".into()),
            subject: "CN=meter-7, O=Works".into(),
            alternative_names: vec![
                "ip:192.0.2.1".into(),
                "dns:m7.example".into(),
                "dns:other".into(),
            ],
            fingerprint: "00".into(),
        };
        let table = [
            (CertificateIdentity::CommonName, Some("meter-7")),
            (CertificateIdentity::Subject, Some("CN=meter-7, O=Works")),
            (CertificateIdentity::Dns, Some("m7.example")),
            (CertificateIdentity::Email, None),
            (CertificateIdentity::Uri, None),
        ];
        for (identity, name) in table {
            assert_eq!(identity.name_in(&certificate), name, "{identity:?}");
        }
        let nameless = Certificate {
            common_name: Some("".into()),
            ..Certificate::default()
        };
        assert_eq!(CertificateIdentity::CommonName.name_in(&nameless), None);
    }
}
