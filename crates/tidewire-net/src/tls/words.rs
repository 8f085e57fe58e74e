//! What the library's errors most often mean, and what to do.

use rustls::{
    AlertDescription as Alert, CertificateError, Error, InvalidMessage, PeerIncompatible,
};

/// Words for the log, the library's own behind them.
pub(super) fn words(error: &Error) -> String {
    let meaning = match error {
        Error::InvalidCertificate(fault) => about_certificate(fault),
        Error::AlertReceived(alert) => about_alert(*alert),
        Error::PeerIncompatible(fault) => about_choice(fault),
        Error::NoCertificatesPresented => Some(
            "the client shows no certificate, and one is required; `tidewire cert make-client --dir DIR NAME` makes one",
        ),
        Error::NoApplicationProtocol => {
            Some("the client offers other application protocols (ALPN) than this listener's `alpn`")
        }
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            Some("what came is not TLS; does the client speak plain MQTT to a TLS port?")
        }
        _ => None,
    };
    match meaning {
        Some(meaning) => format!("{meaning} ({error})"),
        None => error.to_string(),
    }
}

fn about_certificate(fault: &CertificateError) -> Option<&'static str> {
    use CertificateError as Fault;
    Some(match fault {
        Fault::UnknownIssuer => {
            "the client's certificate comes from an authority that is not in client_ca_file"
        }
        Fault::Expired | Fault::ExpiredContext { .. } => {
            "the client's certificate has expired; `tidewire cert make-client --dir DIR NAME --force` makes a new one"
        }
        Fault::NotValidYet | Fault::NotValidYetContext { .. } => {
            "the client's certificate is not valid yet; is the clock of this machine, or of the one that made it, right?"
        }
        Fault::Revoked => "the client's certificate has been revoked",
        Fault::UnknownRevocationStatus => {
            "crl_file has no revocation list of the authority of the client's certificate"
        }
        Fault::ExpiredRevocationList | Fault::ExpiredRevocationListContext { .. } => {
            "the revocation list in crl_file is out of date; get a new one from the authority"
        }
        Fault::InvalidPurpose | Fault::InvalidPurposeContext { .. } => {
            "the client shows a certificate that is not for clients; `tidewire cert make-client --dir DIR NAME` makes one"
        }
        Fault::BadSignature => {
            "a signature in the client's certificate is wrong, or made with a key that is not its authority's in client_ca_file"
        }
        _ => return None,
    })
}

fn about_alert(alert: Alert) -> Option<&'static str> {
    Some(match alert {
        Alert::UnknownCA => {
            "the client does not know the authority of this server's certificate; give it ca.pem"
        }
        Alert::BadCertificate | Alert::CertificateUnknown => {
            "the client does not accept this server's certificate (does it have the name that the client connects to?)"
        }
        Alert::CertificateExpired => {
            "the client finds this server's certificate expired; is its clock right?"
        }
        Alert::UnsupportedCertificate => {
            "the client cannot use a certificate of this kind (does it want an RSA key? `tidewire cert make-server --rsa` makes one)"
        }
        Alert::ProtocolVersion => "the client speaks no version of TLS that this listener speaks",
        _ => return None,
    })
}

fn about_choice(fault: &PeerIncompatible) -> Option<&'static str> {
    use PeerIncompatible as Fault;
    Some(match fault {
        // The extension is required since TLS 1.2.
        Fault::SignatureAlgorithmsExtensionRequired
        | Fault::Tls12NotOffered
        | Fault::Tls12NotOfferedOrEnabled => {
            "the client is too old: it speaks neither TLS 1.2 nor 1.3, or not the `min_tls_version` of this listener"
        }
        Fault::NoCipherSuitesInCommon => {
            "the client offers no cipher suite that is still good (does it want an RSA certificate, and this one has an EC key? \
             `tidewire cert make-server --rsa` makes one)"
        }
        Fault::NoSignatureSchemesInCommon => {
            "the client cannot check signatures of this certificate's kind (does it want an RSA key? `tidewire cert make-server --rsa` makes one)"
        }
        Fault::NoKxGroupsInCommon => {
            "the client offers no way to agree on a key that is still good"
        }
        _ => return None,
    })
}
