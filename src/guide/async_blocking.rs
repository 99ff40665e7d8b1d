use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use azure_iot_dps::{Assignment, HttpsTransport, ProvisioningClient, ProvisioningClientBuilder};

/// Registers the device on a thread for blocking work.
pub async fn register(
    mut client: ProvisioningClient,
) -> Result<Assignment, Box<dyn std::error::Error>> {
    Ok(tokio::task::spawn_blocking(move || client.register()).await??)
}

/// Registers the device, and cancels after `limit`.
///
/// Returns when the request under way has ended: at once, or within 30 s while it connects.
pub async fn register_within(
    limit: Duration,
    client: ProvisioningClientBuilder,
    transport: HttpsTransport,
) -> Result<Assignment, Box<dyn std::error::Error>> {
    let cancelled = Arc::new(AtomicBool::new(false));
    let shutdown = transport.shutdown_handle();
    let seen = Arc::clone(&cancelled);
    // The client asks this hook before each request and every second while it waits.
    let client = client.transport(transport).wait(move |_| {
        if seen.load(Ordering::Relaxed) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    let mut client = client.build();
    let mut task = tokio::task::spawn_blocking(move || client.register());
    if let Ok(result) = tokio::time::timeout(limit, &mut task).await {
        return Ok(result??);
    }
    cancelled.store(true, Ordering::Relaxed);
    shutdown.shutdown(); // Ends a request that is under way.
    Ok(task.await??)
}
