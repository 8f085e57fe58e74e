//! Requests and responses: one side asks for sums, the other one adds.
//!
//! `request_response [URL]` plays both sides.

use std::time::Duration;

use tidewire_client::{Client, Publish, Qos, Requester, Subscription};

async fn serve(client: Client) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let wanted = Subscription::new("service/sum").qos(Qos::AtLeastOnce);
    let mut requests = client.subscribe(wanted).await?;
    while let Some(request) = requests.recv().await {
        let numbers = request.text().unwrap_or_default().split('+');
        let sum: i64 = numbers
            .filter_map(|text| text.trim().parse::<i64>().ok())
            .sum();
        client
            .respond(&request, sum.to_string(), Qos::AtLeastOnce)
            .await?;
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1);
    let url = url.as_deref().unwrap_or("mqtt://localhost");
    tokio::spawn(serve(Client::builder(url).connect().await?));

    let client = Client::builder(url).connect().await?;
    let requester = Requester::new(&client).await?;
    for question in ["1 + 2", "40 + 2"] {
        let request = Publish::new("service/sum", question).qos(Qos::AtLeastOnce);
        // The other side may still be subscribing: ask again until somebody answers.
        let answer = loop {
            match requester
                .request(request.clone(), Duration::from_secs(1))
                .await
            {
                Ok(answer) => break answer,
                Err(tidewire_client::RequestFailure::TimedOut) => {}
                Err(error) => return Err(error.into()),
            }
        };
        println!("{question} = {}", answer.text().unwrap_or("?"));
    }
    Ok(())
}
