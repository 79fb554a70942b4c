//! `chapar.admin.v1.TokenService`: enrolment tokens.

use chapar_proto::admin::v1::{
    CreateTokenRequest, CreateTokenResponse, EnrolmentToken, ListTokensRequest, ListTokensResponse, RevokeTokenRequest,
    RevokeTokenResponse, TokenState as WireState,
    token_service_server::{TokenService, TokenServiceServer},
};
use tonic::{Request, Response, Status};

use crate::{
    authority::Authority,
    caller::Caller,
    clock::wire_of,
    enrolment::tokens::{self, TokenState},
    page::Page,
    store::{Store, TokenRow},
};

/// The service, for the admins' listeners.
#[must_use]
pub fn service(store: Store, authority: Authority) -> TokenServiceServer<Tokens> {
    TokenServiceServer::new(Tokens { store, authority })
}

/// Serves [`TokenService`].
pub struct Tokens {
    store: Store,
    authority: Authority,
}

#[tonic::async_trait]
impl TokenService for Tokens {
    async fn create_token(&self, request: Request<CreateTokenRequest>) -> Result<Response<CreateTokenResponse>, Status> {
        let actor = Caller::from_request(&request)?.require_admin()?;
        let CreateTokenRequest { agency, sidecar, valid_for_s } = request.into_inner();
        let (token, kept) = tokens::create(&self.store, &self.authority, &actor, &agency, &sidecar, valid_for_s).await?;
        Ok(Response::new(CreateTokenResponse { token: token.to_string(), description: Some(self.described(kept)) }))
    }

    async fn list_tokens(&self, request: Request<ListTokensRequest>) -> Result<Response<ListTokensResponse>, Status> {
        Caller::from_request(&request)?.require_admin()?;
        let ListTokensRequest { agency, page_size, page_token } = request.into_inner();
        let page = Page::asked(page_size, &page_token)?;
        let (kept, next_page_token) = tokens::list(&self.store, &agency, &page).await?;
        let tokens = kept.into_iter().map(|token| self.described(token)).collect();
        Ok(Response::new(ListTokensResponse { tokens, next_page_token }))
    }

    async fn revoke_token(&self, request: Request<RevokeTokenRequest>) -> Result<Response<RevokeTokenResponse>, Status> {
        let actor = Caller::from_request(&request)?.require_admin()?;
        tokens::revoke(&self.store, &actor, &request.into_inner().id).await?;
        Ok(Response::new(RevokeTokenResponse {}))
    }
}

impl Tokens {
    fn described(&self, token: TokenRow) -> EnrolmentToken {
        let state = match token.state(self.store.clock().now()) {
            TokenState::Open => WireState::Open,
            TokenState::Used => WireState::Used,
            TokenState::Expired => WireState::Expired,
            TokenState::Revoked => WireState::Revoked,
        };
        EnrolmentToken {
            state: state.into(),
            id: token.id,
            agency: token.agency,
            sidecar: token.sidecar.unwrap_or_default(),
            created_at: Some(wire_of(token.created_at)),
            expires_at: Some(wire_of(token.expires_at)),
            created_by: token.created_by,
            used_at: token.used_at.map(wire_of),
        }
    }
}
