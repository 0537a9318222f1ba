//! What each room is told at its start, made of the operator's settings.

use std::net::SocketAddr;

use api::ApiConfig;
use api::guard::GuardConfig;
use billing::SettleContext;
use call::{EngineConfig, RegisterLimits};
use media::MediaConfig;
use sip::endpoint::{EndpointConfig, Listener, Timers};

use super::StartError;
use crate::config::{Config, reachable};

/// Where merchants fetch recordings.
pub(super) fn settling(config: &Config, http: SocketAddr) -> SettleContext {
    let base = config.public_url.clone().unwrap_or_else(|| {
        format!("http://{}", SocketAddr::new(reachable(http.ip()), http.port()))
    });
    SettleContext { recording_base_url: format!("{base}/recordings") }
}

pub(super) fn media(config: &Config) -> MediaConfig {
    MediaConfig {
        bind: config.rtp_bind,
        advertised: config.rtp_advertised.unwrap_or_else(|| reachable(config.rtp_bind)),
        ports: config.rtp_ports.clone(),
        quarantine: config.rtp_quarantine,
        workers: config.media_workers,
        recordings: config.recordings_folder(),
        prompts: config.prompts.clone(),
    }
}

pub(super) fn engine(config: &Config, listeners: &[Listener]) -> Result<EngineConfig, StartError> {
    let timers = config.timers;
    let random = || -> Result<[u8; 32], StartError> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes)
            .map_err(|error| StartError::Io(format!("no randomness: {error}")))?;
        Ok(bytes)
    };
    let sip = EndpointConfig {
        listeners: listeners.to_vec(),
        timers: Timers {
            timer_c: timers.timer_c,
            ..Timers::scaled(timers.t1, timers.t2, timers.t4)
        },
        engine: u8::try_from(config.node & 0xff).unwrap_or_default(),
        seed: random()?,
        user_agent: config.user_agent.clone(),
        ..EndpointConfig::default()
    };
    let call = config.call;
    Ok(EngineConfig {
        sip,
        node: config.node,
        secret: random()?,
        calls_max: call.calls_max,
        calls_per_second: call.calls_per_second,
        silence: call.silence,
        warning: call.warning,
        alive: call.checkpoint,
        register: RegisterLimits {
            expires_min: call.expires_min,
            expires_default: call.expires_default,
            expires_max: call.expires_max,
        },
        nonce_life: call.nonce_life,
        algorithms: config.algorithms.clone(),
        ..EngineConfig::default()
    })
}

pub(super) fn guard(config: &Config) -> GuardConfig {
    GuardConfig {
        allow_networks: config.callback_allow.clone(),
        allow_ports: config.callback_ports.clone(),
        ..GuardConfig::default()
    }
}

pub(super) fn api(config: &Config, admin_token: String) -> ApiConfig {
    ApiConfig {
        admin_token: Some(admin_token),
        recordings: config.recordings_folder(),
        trusted_proxies: config.trusted_proxies.clone(),
        ring: config.call.ring,
        ..ApiConfig::default()
    }
}
