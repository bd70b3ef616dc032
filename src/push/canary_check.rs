//! The canary is read back before the rest of the plan is sent.

use super::batch::Batch;
use super::{Action, End, Now, Push};
use crate::destination::{Echo, ReadError};
use crate::record::Key;

/// How many keys a message names.
const NAMED: usize = 3;

impl Push {
    /// Has the values of the canary read once all of them have an outcome. A batch that has failed as often as it may
    /// does not delay the others: whether it is to blame shows only when others are sent.
    pub(super) fn read_canary(&mut self, now: Now, actions: &mut Vec<Action>) {
        let may_read = self.end.is_none()
            && self.chosen.is_none()
            && self.is_idle()
            && !self.deleted.is_checking()
            && self.waiting.iter().all(Batch::is_exhausted);
        let Some(keys) = Some(&self.canary).filter(|_| may_read).and_then(|canary| canary.keys_to_read(now))
        else {
            return;
        };
        if keys.is_empty() {
            // Nothing was confirmed, so there is nothing to compare. The circuit breaker counts rejections.
            if self.waiting.is_empty() {
                self.canary.ended();
                self.choose(now, actions);
            }
            return;
        }
        self.canary.reading();
        actions.push(Action::ReadCanary { keys });
    }

    /// Compares what the store holds with what it confirmed. The run ends if it does not hold all of it.
    pub(super) fn canary_read(
        &mut self,
        values: Result<Vec<Echo>, ReadError>,
        now: Now,
        actions: &mut Vec<Action>,
    ) {
        let values = match values {
            Ok(values) => values,
            // The read was ended.
            Err(_) if self.end.is_some() => return self.canary.ended(),
            Err(error) => {
                let message =
                    format!("the first customers of the plan were sent and could not be read back: {error}");
                let hint = "run `attrsync sync` again once the store can be read; [guard] canary = 0 sends without reading back";
                self.end = Some(End::failed(message, hint));
                return self.canary.ended();
            }
        };
        let keys = self.canary.shown(&values, now);
        if keys.is_empty() {
            return;
        }
        let mut named: Vec<String> = keys.iter().take(NAMED).map(Key::to_string).collect();
        named.extend((keys.len() > NAMED).then(|| format!("and {} more", keys.len() - NAMED)));
        let message = format!(
            "the store confirmed values of the first customers and does not hold them when it is read: {}; nothing more \
             was sent",
            named.join(", ")
        );
        let hint = "look at these customers in the control panel, and check [store] api_url and hash: something may respond in \
                    place of the store, or another app writes the same attributes; then run `attrsync sync`";
        self.end.get_or_insert_with(|| End::failed(message, hint));
        let token = self.token();
        self.uncommitted.push((token, keys.clone()));
        actions.push(Action::MakeUnconfirmed { token, keys });
    }
}
