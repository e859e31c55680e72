//! Users, and who follows whom.

use http::Problem;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use store::users::{self, Created, Followed, Side};
use utoipa::ToSchema;
use warp::Reply;
use warp::http::StatusCode;
use warp::reply::Response;

use super::Api;
use super::answer::{cut, json, no_database, no_user};
use crate::tweets::asked::{Asked, refused, wrong};
use crate::tweets::content;

/// A wish for a user.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewUser {
    /// 1 to 50 characters without control characters; unique in NFC.
    #[schema(min_length = 1, max_length = 50)]
    username: String,
    /// name@domain, 254 bytes at most; unique.
    #[schema(max_length = 254)]
    email: String,
}

/// Somebody.
#[derive(Serialize, ToSchema)]
struct User {
    /// Number, from 1.
    id: i64,
    /// Unique.
    username: String,
    /// How many follow them.
    followers: i64,
    /// How many they follow.
    following: i64,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

impl From<users::User> for User {
    fn from(user: users::User) -> Self {
        let users::User { user_id, username, followers, following, created_at } = user;
        Self { id: user_id, username, followers, following, created_at }
    }
}

/// Makes a user.
#[utoipa::path(post, path = "/api/users/", request_body = NewUser, responses(
    (status = 201, body = User),
    (status = 400, description = "The body is not of this form: the answer names field and reason."),
    (status = 409, description = "Somebody has this username or email."),
    (status = 429, description = "Too many requests; Retry-After says when."),
    (status = 503, description = "The database does not answer; Retry-After says when to try again.")))]
pub async fn create_user(api: &Api, asked: &Asked) -> Result<Response, Problem> {
    let NewUser { username, email } = asked.json()?;
    let username = content::name(&username).map_err(|fault| refused(&fault))?;
    content::check_email(&email).map_err(|fault| refused(&fault))?;
    match users::create(&api.store, &username, &email).await.map_err(no_database)? {
        Created::New(user) => Ok(json(StatusCode::CREATED, &User::from(user))),
        Created::Taken(field) => {
            let problem = Problem::new(StatusCode::CONFLICT).detail(format!("somebody has this {field}"));
            Err(problem.member("field", field))
        }
    }
}

/// A user with how many follow them, and how many they follow.
#[utoipa::path(get, path = "/api/users/{id}", params(("id" = i64, Path)), responses(
    (status = 200, body = User),
    (status = 404, description = "There is no such user."),
    (status = 503, description = "The database does not answer.")))]
pub async fn user(api: &Api, asked: &Asked) -> Result<Response, Problem> {
    Ok(json(StatusCode::OK, &User::from(existing(api, asked.id, "id").await?)))
}

/// A user in a list.
#[derive(Serialize, ToSchema)]
struct Named {
    /// Number.
    id: i64,
    /// Name.
    username: String,
}

/// Users on one side of another.
#[derive(Serialize, ToSchema)]
struct Users {
    /// How many there are in all.
    count: i64,
    /// Ascending by number.
    users: Vec<Named>,
    /// The `cursor` of the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// Who follows a user.
#[utoipa::path(get, path = "/api/users/{id}/followers",
    params(("id" = i64, Path), ("limit" = Option<i64>, Query, minimum = 1, maximum = 100), ("cursor" = Option<String>, Query)),
    responses(
        (status = 200, body = Users),
        (status = 400, description = "A parameter is not one, or out of its bounds."),
        (status = 404, description = "There is no such user."),
        (status = 503, description = "The database does not answer.")))]
pub async fn followers(api: &Api, asked: &Asked) -> Result<Response, Problem> {
    connected(api, asked, Side::Followers).await
}

/// Whom a user follows.
#[utoipa::path(get, path = "/api/users/{id}/following",
    params(("id" = i64, Path), ("limit" = Option<i64>, Query, minimum = 1, maximum = 100), ("cursor" = Option<String>, Query)),
    responses(
        (status = 200, body = Users),
        (status = 400, description = "A parameter is not one, or out of its bounds."),
        (status = 404, description = "There is no such user."),
        (status = 503, description = "The database does not answer.")))]
pub async fn following(api: &Api, asked: &Asked) -> Result<Response, Problem> {
    connected(api, asked, Side::Following).await
}

async fn connected(api: &Api, asked: &Asked, side: Side) -> Result<Response, Problem> {
    let page = asked.page()?;
    let user = existing(api, asked.id, "id").await?;
    let after = page.cursor.unwrap_or(0);
    let found = users::connected(&api.store, asked.id, side, after, page.limit + 1).await.map_err(no_database)?;
    let (found, next_cursor) = cut(found, page.limit, |(id, _)| *id);
    let users = found.into_iter().map(|(id, username)| Named { id, username }).collect();
    let count = if side == Side::Followers { user.followers } else { user.following };
    Ok(json(StatusCode::OK, &Users { count, users, next_cursor }))
}

/// Whom to follow.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Follow {
    /// The user.
    #[schema(minimum = 1)]
    followed_id: i64,
}

/// Who follows whom.
#[derive(Serialize, ToSchema)]
struct Following {
    /// Who.
    follower_id: i64,
    /// Whom.
    followed_id: i64,
}

/// Lets the user who acts follow another, with the latest 100 of their tweets.
#[utoipa::path(post, path = "/api/subscriptions/follow", request_body = Follow,
    params(("X-User-ID" = i64, Header, description = "Who acts.")),
    responses(
        (status = 201, body = Following),
        (status = 200, body = Following, description = "They did already."),
        (status = 400, description = "The body is not of this form, or names the user who acts."),
        (status = 404, description = "There is no such user: `field` says which."),
        (status = 409, description = "They follow 5,000 users, the most there may be."),
        (status = 503, description = "The database does not answer.")))]
pub async fn follow(api: &Api, asked: &Asked) -> Result<Response, Problem> {
    let follower_id = asked.user()?;
    let Follow { followed_id } = asked.json()?;
    if followed_id < 1 {
        return Err(wrong("followed_id", "`followed_id` is the number of a user, from 1"));
    }
    if followed_id == follower_id {
        return Err(wrong("followed_id", "`followed_id` is the user who acts: nobody follows themselves"));
    }
    let _turn = api.turn().await;
    let status = match users::follow(&api.store, follower_id, followed_id).await.map_err(no_database)? {
        Followed::New => StatusCode::CREATED,
        Followed::Already => StatusCode::OK,
        Followed::TooMany => {
            let problem = Problem::new(StatusCode::CONFLICT);
            return Err(problem.detail(format!("they follow {} users, the most there may be", users::MOST_FOLLOWING)));
        }
        Followed::NoSuchUser(user) => {
            return Err(no_user(user, if user == follower_id { "X-User-ID" } else { "followed_id" }));
        }
    };
    Ok(json(status, &Following { follower_id, followed_id }))
}

/// Ends a follow; its tweets are hidden at once.
#[utoipa::path(delete, path = "/api/subscriptions/follow/{id}",
    params(("id" = i64, Path, description = "Whom they follow."), ("X-User-ID" = i64, Header, description = "Who acts.")),
    responses(
        (status = 204, description = "They do not any more."),
        (status = 404, description = "They did not."),
        (status = 503, description = "The database does not answer.")))]
pub async fn unfollow(api: &Api, asked: &Asked) -> Result<Response, Problem> {
    let (follower, followed) = (asked.user()?, asked.id);
    let _turn = api.turn().await;
    if users::unfollow(&api.store, follower, followed).await.map_err(no_database)? {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let problem = Problem::new(StatusCode::NOT_FOUND);
    Err(problem.detail(format!("user {follower} does not follow user {followed}")).member("field", "id"))
}

/// The user of this number; the answer that there is none names `field`.
pub async fn existing(api: &Api, id: i64, field: &'static str) -> Result<users::User, Problem> {
    users::find(&api.store, id).await.map_err(no_database)?.ok_or_else(|| no_user(id, field))
}
