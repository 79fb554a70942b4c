//! `chapar.admin.v1.PassportService`: submit, compare, approve and retire technical passports.

mod convert;

use std::collections::HashMap;

use chapar_core::passport::{DESCRIPTOR_SET_BYTES_MAX, Passport};
use chapar_proto::admin::v1::{
    ApprovePassportRequest, ApprovePassportResponse, DiffPassportsRequest, DiffPassportsResponse, GetPassportRequest,
    GetPassportResponse, ListPassportsRequest, ListPassportsResponse, Passport as WirePassport, PassportState,
    RetirePassportRequest, RetirePassportResponse, SubmitPassportRequest, SubmitPassportResponse,
    passport_service_server::{PassportService, PassportServiceServer},
};
use prost::Message as _;
use sqlx::SqliteConnection;
use tonic::{Request, Response, Status};

use self::convert::wire_passport;
use crate::{
    audit::audited,
    caller::Caller,
    page::Page,
    problem::Problem,
    registry::{self, Approval, PassportFilter, PassportRow, State},
    store::{Store, StoreError},
};

/// Largest request: a descriptor set, and room for the rest.
const MESSAGE_BYTES_MAX: usize = DESCRIPTOR_SET_BYTES_MAX + 64 * 1024;

/// Passports in one answer of a list; a gRPC client takes 4 MiB by default.
const ANSWER_BYTES_MAX: usize = 3 * 1024 * 1024;

/// Separates the parts of a page's key; in none of them.
const KEY_SEPARATOR: char = ' ';

/// The service, for the admin's listeners.
#[must_use]
pub fn service(store: Store) -> PassportServiceServer<Passports> {
    PassportServiceServer::new(Passports { store }).max_decoding_message_size(MESSAGE_BYTES_MAX)
}

/// Serves [`PassportService`].
pub struct Passports {
    store: Store,
}

#[tonic::async_trait]
impl PassportService for Passports {
    async fn submit_passport(&self, request: Request<SubmitPassportRequest>) -> Result<Response<SubmitPassportResponse>, Status> {
        let actor = Caller::of(&request)?.require_admin()?;
        let asked = request.into_inner();
        let object = format!("{}/{}", asked.agency, asked.grpc_service);
        let submitted =
            registry::submit(&self.store, &asked.agency, &asked.grpc_service, asked.descriptor_set, asked.draft_only, &actor)
                .await;
        let rows = audited(&self.store, &actor, "passport.submit", &object, submitted.map_err(Problem::from)).await?;
        Ok(Response::new(SubmitPassportResponse { passports: self.described(rows).await? }))
    }

    async fn approve_passport(
        &self,
        request: Request<ApprovePassportRequest>,
    ) -> Result<Response<ApprovePassportResponse>, Status> {
        let actor = Caller::of(&request)?.require_admin()?;
        let asked = request.into_inner();
        let approval = Approval {
            version: asked.version,
            grpc_service: asked.grpc_service,
            resolution: asked.resolution,
            danger_allow_breaks: asked.danger_allow_breaks,
        };
        let approved = registry::approve(&self.store, &approval, &actor).await.map_err(Problem::from);
        let (rows, revision) = audited(&self.store, &actor, "passport.approve", &approval.version, approved).await?;
        Ok(Response::new(ApprovePassportResponse { passports: self.described(rows).await?, revision }))
    }

    async fn retire_passport(&self, request: Request<RetirePassportRequest>) -> Result<Response<RetirePassportResponse>, Status> {
        let actor = Caller::of(&request)?.require_admin()?;
        let asked = request.into_inner();
        let retired = registry::retire(&self.store, &asked.version, &asked.grpc_service, &asked.reason, &actor).await;
        let (rows, revision) =
            audited(&self.store, &actor, "passport.retire", &asked.version, retired.map_err(Problem::from)).await?;
        Ok(Response::new(RetirePassportResponse { passports: self.described(rows).await?, revision }))
    }

    async fn list_passports(&self, request: Request<ListPassportsRequest>) -> Result<Response<ListPassportsResponse>, Status> {
        Caller::of(&request)?.require_admin()?;
        let asked = request.into_inner();
        let state = match asked.state() {
            PassportState::Unspecified => None,
            PassportState::Draft => Some(State::Draft),
            PassportState::Submitted => Some(State::Submitted),
            PassportState::Approved => Some(State::Approved),
            PassportState::Superseded => Some(State::Superseded),
            PassportState::Retired => Some(State::Retired),
        };
        let page = Page::asked(asked.page_size, &asked.page_token)?;
        let filter = PassportFilter { agency: asked.agency, state, after: page.after.as_deref().and_then(key_of) };
        let mut conn = self.store.read().acquire().await.map_err(Problem::from)?;
        let mut rows = registry::list(&mut conn, &filter, page.size + 1).await.map_err(Problem::from)?;
        drop(conn);
        let next_page_token = page.cut(&mut rows, key);
        let mut passports = self.described(rows.clone()).await?;
        let fitting = fitting(&passports);
        if fitting == passports.len() {
            return Ok(Response::new(ListPassportsResponse { passports, next_page_token }));
        }
        passports.truncate(fitting);
        let short = Page { size: fitting, ..page };
        let next_page_token = short.cut(&mut rows, key);
        Ok(Response::new(ListPassportsResponse { passports, next_page_token }))
    }

    async fn get_passport(&self, request: Request<GetPassportRequest>) -> Result<Response<GetPassportResponse>, Status> {
        Caller::of(&request)?.require_admin()?;
        let asked = request.into_inner();
        let mut conn = self.store.read().acquire().await.map_err(Problem::from)?;
        let mut rows = registry::find(&mut conn, &asked.version, &asked.grpc_service).await.map_err(Problem::from)?;
        if rows.len() > 1 {
            let names: Vec<&str> = rows.iter().map(|row| row.grpc_service.as_str()).collect();
            let told = format!("the descriptor set describes {}; name one of them", names.join(", "));
            return Err(Problem::invalid("REQUEST_MALFORMED", told).into());
        }
        rows.truncate(1);
        let bytes = match rows.first() {
            Some(row) => registry::descriptor_set(&mut conn, &row.version).await.map_err(Problem::from)?,
            None => Vec::new(),
        };
        drop(conn);
        let passport = self.described(rows).await?.pop();
        Ok(Response::new(GetPassportResponse { passport, descriptor_set: bytes }))
    }

    async fn diff_passports(&self, request: Request<DiffPassportsRequest>) -> Result<Response<DiffPassportsResponse>, Status> {
        Caller::of(&request)?.require_admin()?;
        let asked = request.into_inner();
        let mut conn = self.store.read().acquire().await.map_err(Problem::from)?;
        let changes = registry::changes(&mut conn, &asked.from_version, &asked.to_version, &asked.grpc_service).await;
        let changes = changes.map_err(Problem::from)?.into_iter().map(Into::into).collect();
        Ok(Response::new(DiffPassportsResponse { changes }))
    }
}

impl Passports {
    /// The rows with what their descriptors say; every descriptor set is read once.
    async fn described(&self, rows: Vec<PassportRow>) -> Result<Vec<WirePassport>, Problem> {
        let mut conn = self.store.read().acquire().await?;
        let mut read: HashMap<String, Passport> = HashMap::new();
        let mut described = Vec::with_capacity(rows.len());
        for row in rows {
            if !read.contains_key(&row.version) {
                let passport = stored_passport(&mut conn, &row.version).await?;
                read.insert(row.version.clone(), passport);
            }
            let service = read.get(&row.version).and_then(|passport| passport.service(&row.grpc_service));
            described.push(wire_passport(&row, service));
        }
        Ok(described)
    }
}

/// How many of the first fit into one answer; one always does.
fn fitting(passports: &[WirePassport]) -> usize {
    let mut bytes = 0;
    let fitting = passports.iter().take_while(|passport| {
        bytes += passport.encoded_len();
        bytes <= ANSWER_BYTES_MAX
    });
    fitting.count().max(1).min(passports.len())
}

async fn stored_passport(conn: &mut SqliteConnection, version: &str) -> Result<Passport, Problem> {
    let bytes = registry::descriptor_set(conn, version).await?;
    let parsed = tokio::task::spawn_blocking(move || Passport::parse(&bytes)).await.map_err(|error| Problem::internal(&error))?;
    let broken = |why: String| Problem::from(StoreError::Broken { what: format!("passport {version}"), why });
    parsed.map_err(|error| broken(error.to_string()))
}

fn key(row: &PassportRow) -> String {
    [row.agency.as_str(), &row.grpc_service, &row.version].join(&KEY_SEPARATOR.to_string())
}

fn key_of(key: &str) -> Option<(String, String, String)> {
    let mut parts = key.split(KEY_SEPARATOR).map(str::to_owned);
    Some((parts.next()?, parts.next()?, parts.next()?))
}
