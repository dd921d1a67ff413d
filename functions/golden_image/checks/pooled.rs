//! The checks of a virtual desktop after its first start: VM.

use crate::golden_image::{
    checks::image::{onboarding_state, service},
    item::{Checked, fail, hold, not_assessable},
    machine::Image,
};

pub(in crate::golden_image) fn onboarded(image: &Image<'_>) -> Checked {
    let sense = service(image, "Sense")?.unwrap_or_else(|| "absent".into());
    let state = onboarding_state(image)?;
    let shown = state.map_or_else(|| "absent".into(), |state| state.to_string());
    hold(
        sense.eq_ignore_ascii_case("Running") && state == Some(1),
        format!("Sense {sense}, OnboardingState {shown}"),
    )
}

pub(in crate::golden_image) fn onboarded_last(image: &Image<'_>) -> Checked {
    let Some(onboarding) = image.evidence.instant("events", "onboarding")? else {
        return fail("no WDATPOnboarding event");
    };
    let boot = image.evidence.instant("events", "boot")?;
    let boot =
        boot.ok_or_else(|| not_assessable("the time of the last start was not collected"))?;
    let rename = image.evidence.instant("events", "rename")?;
    let last = rename.map_or(boot, |rename| rename.max(boot));
    hold(
        onboarding > last,
        format!("onboarded {onboarding}, last rename or start {last}"),
    )
}
