# The package, from these sources. Its dependencies, and those of the extras, are those of pyproject.toml:
# tests/test_nixos.py compares them.
{
  lib,
  python3Packages,
  installShellFiles,
}:

let
  inherit (python3Packages) buildPythonApplication;
  # What spfmilter/__init__.py says.
  version = builtins.head (
    builtins.match ".*__version__ = \"([^\"]+)\".*" (builtins.readFile ../../spfmilter/__init__.py)
  );
in
buildPythonApplication {
  pname = "spfmilter";
  inherit version;
  pyproject = true;
  src = lib.cleanSource ../..;

  build-system = with python3Packages; [
    hatchling
    babel
  ];

  nativeBuildInputs = [ installShellFiles ];

  dependencies = with python3Packages; [
    pymilter
    pyspf
    dnspython
    pydantic
    click
    rich
    idna
    prometheus-client
    itsdangerous
    sqlalchemy
    alembic
  ];

  optional-dependencies = with python3Packages; {
    web = [
      starlette
      uvicorn
      jinja2
      babel
      limits
    ];
    postgresql = [ psycopg ];
    redis = [ redis ];
  };

  # The units name spfmilter by its place in other systems. NixOS has the /bin/sh that they name as well.
  postInstall = ''
    installManPage man/spfmilter.1 man/spfmilter.ini.5
    for unit in systemd/*.service systemd/*.socket systemd/*.timer; do
      install -D -m 644 -t $out/lib/systemd/system "$unit"
    done
    install -D -m 644 -t $out/lib/tmpfiles.d systemd/tmpfiles.d/spfmilter.conf
    install -D -m 644 -t $out/share/doc/spfmilter conf/spfmilter.ini
    install -D -m 644 packaging/nixos/extras.txt $out/${python3Packages.python.sitePackages}/spfmilter/extras.txt
    sed -i "s|/usr/bin/spfmilter|$out/bin/spfmilter|g" $out/lib/systemd/system/*.service
  '';

  # The tests need servers (Postfix, NSD, Redis), and their libraries.
  doCheck = false;
  pythonImportsCheck = [ "spfmilter.cli" ];

  meta = {
    description = "SPF milter for Postfix and Sendmail that tells the refused sender why, and what to change";
    license = lib.licenses.gpl2Plus;
    mainProgram = "spfmilter";
    platforms = lib.platforms.linux;
  };
}
