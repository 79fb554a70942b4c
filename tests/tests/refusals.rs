//! What is not granted now is refused: by either side, with the reason and who must act, and on record.

use std::time::Duration;

use anyhow::{Context as _, Result};
use chapar_proto::admin::v1 as admin;
use chapar_tests::{
    attacker::{self, Disguise},
    behaviours,
    echo::{self, pb::EchoRequest},
    evidence,
    mesh::{CONSUMER, EchoClient, Mesh, PROVIDER, STRANGER, client_of},
    refusal::{self, Refused},
    sidecar::{Plan, Sidecar},
    wait,
};
use tonic::{Code, Status};

/// How long a change of policy may take to reach sidecars on a loaded machine.
const CHANGE_LIMIT: Duration = Duration::from_secs(30);
/// The reason of what is served.
const SERVED: &str = "";

/// Every way in which a grant can stand. The days of a past grant are Jalali; the future one's are Gregorian.
const GRANTS: &str = r#"
apiVersion: chapar/v1
kind: Resolution
metadata: {name: test-1}
spec:
  title: {fa: مصوبه آزمون, en: Test resolution}
  session: 1
  date: 1401-10-20
  grants:
    - {clause: "1", consumers: [asker], inquiries: [echo-unary]}
    - {clause: "2", consumers: [asker], inquiries: [echo-client-stream], notBefore: 2999-01-01}
    - {clause: "3", consumers: [asker], inquiries: [echo-server-stream], notBefore: 1400-01-01, notAfter: 1401-10-20}
    - {clause: "4", consumers: [asker], inquiries: [echo-bidi-stream], inForce: false}
    - {clause: "5", consumers: [asker], inquiries: [echo-push]}
    - {clause: "6", consumers: [stranger], inquiries: [echo-server-stream]}
"#;

/// Consumer, inquiry, method, reason, clause of the grant that was looked at, who must act.
const MATRIX: [(&str, &str, &str, &str, &str, &str); 12] = [
    (CONSUMER, "echo-unary", "Unary", SERVED, "1", ""),
    (CONSUMER, "echo-client-stream", "ClientStream", "GRANT_NOT_YET_IN_FORCE", "2", "working-group"),
    (CONSUMER, "echo-server-stream", "ServerStream", "GRANT_EXPIRED", "3", "working-group"),
    (CONSUMER, "echo-bidi-stream", "BidiStream", "GRANT_NOT_YET_IN_FORCE", "4", "working-group"),
    (CONSUMER, "echo-push", "Pushed", "INQUIRY_NOT_YET_IN_FORCE", "5", "exchange-admin"),
    (CONSUMER, "", "Unlisted", "UNKNOWN_INQUIRY", "", "application"),
    (STRANGER, "echo-unary", "Unary", "NO_GRANT", "", "working-group"),
    (STRANGER, "echo-client-stream", "ClientStream", "NO_GRANT", "", "working-group"),
    (STRANGER, "echo-server-stream", "ServerStream", SERVED, "6", ""),
    (STRANGER, "echo-bidi-stream", "BidiStream", "NO_GRANT", "", "working-group"),
    (STRANGER, "echo-push", "Pushed", "NO_GRANT", "", "working-group"),
    (STRANGER, "", "Unlisted", "UNKNOWN_INQUIRY", "", "application"),
];

behaviours!(World::start:
    each_consumer_refuses_early,
    the_provider_decides_for_itself,
    an_admin_is_told_the_same,
    a_revoked_and_a_removed_grant_refuse,
);

/// A mesh with these grants, and the stranger in it.
struct World {
    mesh: Mesh,
    stranger: Sidecar,
}

impl World {
    async fn start() -> Result<Self> {
        let mesh = Mesh::start().await?;
        let stranger = mesh.join(&Plan::consumer(STRANGER, mesh.control_plane.address("sidecars"))).await?;
        mesh.control_plane.apply("grants.yaml", GRANTS).await?;
        mesh.control_plane.distributed(3).await?;
        Ok(Self { mesh, stranger })
    }
}

/// Makes the call of that method; the status that refuses it, or that ends its stream.
async fn call(client: &mut EchoClient, method: &str) -> Result<Result<(), Status>> {
    let ask = || EchoRequest { answers: 1, ..Default::default() };
    let stream = || tokio_stream::iter([ask()]);
    let ended = |answers: tonic::Response<tonic::Streaming<echo::pb::EchoResponse>>| async move {
        answers.into_inner().message().await.map(drop)
    };
    Ok(match method {
        "Unary" => client.unary(ask()).await.map(drop),
        "ClientStream" => client.client_stream(stream()).await.map(drop),
        "ServerStream" => match client.server_stream(ask()).await {
            Ok(answers) => ended(answers).await,
            Err(status) => Err(status),
        },
        "BidiStream" => match client.bidi_stream(stream()).await {
            Ok(answers) => ended(answers).await,
            Err(status) => Err(status),
        },
        "Pushed" => match client.pushed(ask()).await {
            Ok(answers) => ended(answers).await,
            Err(status) => Err(status),
        },
        "Unlisted" => client.unlisted(ask()).await.map(drop),
        other => anyhow::bail!("no method {other}"),
    })
}

async fn each_consumer_refuses_early(World { mesh, stranger }: &mut World) -> Result<()> {
    for (consumer, inquiry, method, reason, clause, who) in MATRIX {
        let sidecar = if consumer == STRANGER { &*stranger } else { &mesh.consumer };
        let row = format!("{consumer} asks for {method}");
        let answer = call(&mut client_of(sidecar)?, method).await?;
        if reason == SERVED {
            answer.with_context(|| row)?;
            continue;
        }
        let refused = refusal::of(&answer.expect_err(&row)).context(row.clone())?;
        is_told(&refused, consumer, inquiry, reason, clause, who, "consumer");
        let spans = evidence::accounts(&mesh.control_plane, &refused.call_id).await.context(row.clone())?;
        assert_eq!(spans.len(), 1, "{row}: the call never left the consumer's sidecar");
        is_recorded(&spans[0], &refused, consumer);
    }
    Ok(())
}

async fn the_provider_decides_for_itself(World { mesh, stranger }: &mut World) -> Result<()> {
    for (consumer, inquiry, method, reason, clause, who) in MATRIX {
        let sidecar = if consumer == STRANGER { &*stranger } else { &mesh.consumer };
        let row = format!("{consumer} asks the provider itself for {method}");
        let own = Disguise::stolen_from(sidecar.state())?;
        let mut client = EchoClient::new(attacker::channel(mesh.provider.address("inbound"), Some(&own))?);
        let answer = call(&mut client, method).await?;
        if reason == SERVED {
            answer.with_context(|| row)?;
            continue;
        }
        let refused = refusal::of(&answer.expect_err(&row)).context(row.clone())?;
        is_told(&refused, consumer, inquiry, reason, clause, who, "provider");
        let spans = evidence::accounts(&mesh.control_plane, &refused.call_id).await.context(row.clone())?;
        is_recorded(&spans[0], &refused, consumer);
    }
    Ok(())
}

fn is_told(refused: &Refused, consumer: &str, inquiry: &str, reason: &str, clause: &str, who: &str, side: &str) {
    let told = |key: &str| refused.metadata.get(key).map_or("", String::as_str);
    let code = if reason == "UNKNOWN_INQUIRY" { Code::Unimplemented } else { Code::PermissionDenied };
    assert_eq!((refused.code, refused.reason.as_str()), (code, reason), "{refused:?}");
    assert_eq!((refused.call_id.len(), told("call_id")), (32, refused.call_id.as_str()), "{refused:?}");
    assert_eq!((told("consumer"), told("side"), told("who_must_act")), (consumer, side, who), "{refused:?}");
    assert_eq!(told("inquiry"), inquiry, "{refused:?}");
    if clause.is_empty() {
        assert_eq!((told("grant"), told("resolution")), ("", ""), "{refused:?}");
    } else {
        assert_eq!(told("grant"), format!("test-1/{clause}/{consumer}/{inquiry}"), "{refused:?}");
        assert!(refused.message.contains("test-1") || reason == "INQUIRY_NOT_YET_IN_FORCE", "{refused:?}");
    }
}

fn is_recorded(span: &admin::Span, refused: &Refused, consumer: &str) {
    let kept = |key: &str| span.attributes.get(key).map_or("", String::as_str);
    let side = refused.metadata.get("side").map_or("", String::as_str);
    assert_eq!((kept("chapar.outcome"), kept("chapar.decision")), ("refused", "refused"), "{span:?}");
    assert_eq!((kept("chapar.reason"), kept("chapar.consumer")), (refused.reason.as_str(), consumer), "{span:?}");
    assert_eq!((kept("chapar.call_id"), kept("chapar.side")), (refused.call_id.as_str(), side), "{span:?}");
    assert_eq!(span.status, "error", "{span:?}");
}

/// `explain` is decided by the code that sidecars decide with, so it must not say anything else.
async fn an_admin_is_told_the_same(World { mesh, .. }: &mut World) -> Result<()> {
    let mut policy = admin::policy_service_client::PolicyServiceClient::new(mesh.control_plane.channel());
    for (consumer, _, method, reason, ..) in MATRIX {
        let inquiry = format!("/{}/{method}", echo::GRPC_SERVICE);
        let request = admin::ExplainRequest { consumer: consumer.to_owned(), inquiry, ..Default::default() };
        let explained = policy.explain(request).await?.into_inner();
        assert_eq!(
            (explained.permitted, explained.reason.as_str()),
            (reason == SERVED, reason),
            "{consumer} {method}: {explained:?}"
        );
        assert!(!explained.explanation.is_empty());
    }
    Ok(())
}

async fn a_revoked_and_a_removed_grant_refuse(World { mesh, .. }: &mut World) -> Result<()> {
    let mut policy = admin::policy_service_client::PolicyServiceClient::new(mesh.control_plane.channel());
    let grant = "test-1/1/asker/echo-unary";
    policy.revoke_grant(admin::RevokeGrantRequest { grant: grant.to_owned(), reason: "misuse".to_owned() }).await?;
    let refused = comes_to(mesh, "GRANT_REVOKED").await?;
    assert!(refused.message.contains("misuse"), "{refused:?}");
    assert_eq!(refused.metadata["grant"], grant);
    policy.restore_grant(admin::RestoreGrantRequest { grant: grant.to_owned(), ..Default::default() }).await?;
    wait::until("the grant to be back", CHANGE_LIMIT, || async {
        mesh.client().ok()?.unary(EchoRequest::default()).await.ok().map(drop)
    })
    .await?;

    let without = GRANTS.replace("    - {clause: \"1\", consumers: [asker], inquiries: [echo-unary]}\n", "");
    assert_ne!(without, GRANTS);
    let applied = mesh.control_plane.apply("grants.yaml", &without).await?;
    comes_to(mesh, "NO_GRANT").await?;
    // The first refusal may be of a call that was permitted before, and that the change ended.
    mesh.control_plane.distributed(3).await?;
    let refused = comes_to(mesh, "NO_GRANT").await?;
    assert_eq!(refused.metadata["policy_version"], applied.version.to_string(), "{refused:?}");
    assert_eq!(refused.metadata["provider"], PROVIDER, "{refused:?}");
    mesh.control_plane.apply("grants.yaml", GRANTS).await?;
    mesh.control_plane.distributed(3).await?;
    mesh.client()?.unary(EchoRequest::default()).await?;
    Ok(())
}

/// Waits until the consumer's unary call is refused for `reason`.
async fn comes_to(mesh: &Mesh, reason: &str) -> Result<Refused> {
    wait::until(&format!("the refusal {reason}"), CHANGE_LIMIT, || async {
        let status = mesh.client().ok()?.unary(EchoRequest::default()).await.err()?;
        refusal::of(&status).filter(|refused| refused.reason == reason)
    })
    .await
}
