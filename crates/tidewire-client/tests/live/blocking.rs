//! The blocking twin.

use std::time::Duration;

use tidewire_client::{Publish, Qos, Subscription, blocking};

use crate::broker::TestBroker;

#[test]
fn blocking_client_publishes_receives_and_closes() {
    let broker = TestBroker::start();
    let client = blocking::Client::connect(broker.client()).expect("connected");
    let wanted = Subscription::new("t").qos(Qos::AtLeastOnce);
    let mut messages = client.subscribe(wanted).expect("subscribed");
    for number in 0..10 {
        let message = Publish::new("t", number.to_string()).qos(Qos::AtLeastOnce);
        let mut receipt = client.publish(message).expect("accepted");
        receipt
            .delivered_within(Duration::from_secs(10))
            .expect("delivered");
        assert_eq!(
            messages.recv().expect("a message").text(),
            Some(&*number.to_string())
        );
    }
    assert!(messages.recv_within(Duration::from_millis(10)).is_none());
    client.ping().expect("an answer");
    assert_eq!(client.close(Duration::from_secs(1)).undelivered, []);
    assert!(messages.recv().is_none());
}

#[test]
fn refused_connection_is_an_error_in_words() {
    let nobody = tidewire_client::Client::builder("mqtt://127.0.0.1:9");
    let error = blocking::Client::connect(nobody).expect_err("nobody listens");
    assert!(error.to_string().contains("mqtt://127.0.0.1:9"), "{error}");
}
