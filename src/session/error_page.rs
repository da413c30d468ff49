//! Which answer stands for an error status (manual, section 4.2 `errorfile`, `errorloc`, `http-error`).

use crate::http::reply::Reply;
use crate::model::Proxy;
use crate::model::proxy::ErrorPage;
use crate::rules::reply::Built;
use crate::sample::Context;

/// The answer for `status`: the backend's own page if it has one, else the frontend's, else the
/// built-in one. A listen, or a request whose backend is not known yet, passes the frontend twice.
pub fn find(frontend: &Proxy, backend: &Proxy, status: u16, context: &Context<'_>) -> Reply {
    let page = [backend, frontend].into_iter().find_map(|proxy| proxy.error_pages.get(&status));
    match page.map(|page| &**page) {
        None => Reply::error(status),
        Some(ErrorPage::Reply(spec)) => match spec.build(context) {
            Built::Own(reply) => *reply,
            Built::ErrorPage => Reply::error(status),
        },
        Some(ErrorPage::File(bytes)) => Reply { status, raw: Some(bytes.clone()), ..Reply::default() },
        Some(ErrorPage::Location { code, location }) => Reply {
            status: *code,
            fields: vec![
                (b"cache-control".to_vec(), b"no-cache".to_vec()),
                (b"location".to_vec(), location.as_bytes().to_vec()),
            ],
            ..Reply::default()
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::RuleSet;
    use crate::rules::action::Action;
    use crate::session::testing;

    #[test]
    fn the_backend_comes_first() {
        let (mut frontend, mut backend) = (testing::proxy("fe"), testing::proxy("be"));
        let file = |text: &str| ErrorPage::File(text.as_bytes().into()).into();
        frontend.error_pages.insert(503, file("front"));
        frontend.error_pages.insert(403, file("front"));
        backend.error_pages.insert(503, file("back"));
        let location = ErrorPage::Location { code: 303, location: "/sorry".into() };
        backend.error_pages.insert(500, location.into());
        let rule = "return status 410 content-type text/plain lf-string 'gone: %[path]'";
        let rule = crate::rules::testing::rule(RuleSet::HttpRequest, rule, 1);
        let Action::Return(spec) = rule.action else { panic!("a return rule was parsed") };
        backend.error_pages.insert(410, ErrorPage::Reply(spec).into());
        testing::with_context("/p", |context| {
            let find = |status| find(&frontend, &backend, status, context);
            let raw = |status| find(status).raw.map(|bytes| bytes.to_vec());
            assert_eq!(raw(503), Some(b"back".to_vec()));
            assert_eq!(raw(403), Some(b"front".to_vec()));
            assert_eq!(raw(400), None);
            assert_eq!(find(400), Reply::error(400));
            let moved = find(500);
            assert_eq!(moved.status, 303);
            assert!(moved.fields.contains(&(b"location".to_vec(), b"/sorry".to_vec())));
            assert_eq!((find(410).status, find(410).body), (410, b"gone: /p".to_vec()));
        });
    }
}
