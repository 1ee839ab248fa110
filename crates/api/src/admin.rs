//! `admin/tsdb/*`: deletions and copies, switched on by `--web.enable-admin-api`.

use std::sync::Arc;

use model::{Deletable, Matcher};

use crate::State;
use crate::call::Call;
use crate::failure::{Failure, Kind};
use crate::reply::Reply;
use crate::time::Instant;

/// What the administration works on.
#[derive(Clone)]
pub struct Admin {
    /// What deletes.
    pub data: Arc<dyn Deletable>,
    /// What copies.
    pub snapshots: Arc<dyn Snapshots>,
}

/// Makes copies of the data folder; the binary implements it.
pub trait Snapshots: Send + Sync {
    /// Makes a copy and gives its name; without the head, of what is sealed in blocks alone. Errors: why there is none.
    fn take(&self, skip_head: bool) -> Result<String, String>;
}

fn enabled(state: &State) -> Result<&Admin, Failure> {
    state.admin.as_ref().ok_or_else(|| Failure::new(Kind::Unavailable, "admin APIs disabled"))
}

/// `snapshot`: the name of a new copy.
pub(crate) fn snapshot(state: &State, call: &Call) -> Result<Reply, Failure> {
    let admin = enabled(state)?;
    let skip_head = call.form.flag("skip_head")?;
    let taken = admin.snapshots.take(skip_head);
    let name = taken.map_err(|reason| Failure::new(Kind::Internal, format!("create snapshot: {reason}")))?;
    Ok(Reply::object(|object| {
        object.text("name", &name);
    }))
}

/// `delete_series`: the samples of what matches, in a time. As upstream `{}` is everything.
pub(crate) fn delete_series(state: &State, call: &Call) -> Result<Reply, Failure> {
    let admin = enabled(state)?;
    call.form.whole()?;
    if call.form.all("match[]").next().is_none() {
        return Err(Failure::bad_data("no match[] parameter provided"));
    }
    let start = call.form.time("start", Instant::EARLIEST)?.millis();
    let end = call.form.time("end", Instant::LATEST)?.millis();
    let wrong = |reason: String| Failure::parameter("match[]", &reason);
    let read = |text| promql::parse_selector(text).map_err(|error| wrong(error.to_string()));
    // All are read before anything is deleted.
    let selectors = call.form.selector_texts().map_err(wrong)?.map(read).collect::<Result<Vec<Vec<Matcher>>, _>>()?;
    for matchers in selectors.iter().filter(|_| start <= end) {
        let deleted = admin.data.delete_series(matchers, start, end);
        deleted.map_err(|error| Failure::new(Kind::Internal, error.to_string()))?;
    }
    Ok(Reply::nothing())
}

/// `clean_tombstones`: gives back the space of what was deleted.
pub(crate) fn clean_tombstones(state: &State, _: &Call) -> Result<Reply, Failure> {
    let cleaned = enabled(state)?.data.clean_tombstones();
    cleaned.map_err(|error| Failure::new(Kind::Internal, error.to_string()))?;
    Ok(Reply::nothing())
}
