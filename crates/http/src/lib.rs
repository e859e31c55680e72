//! Accept loop, time-outs, body limits, problem+json, drained stop. Knows no route.
