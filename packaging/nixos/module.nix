# The NixOS module: options in services.spfmilter. README.md beside this file has an example.
#
# The units are the shipped ones, from the package. So their hardening is the same here as everywhere; what the module
# adds to them is below.
{
  config,
  lib,
  pkgs,
  ...
}:

let
  inherit (lib)
    mkEnableOption
    mkIf
    mkOption
    optional
    optionals
    types
    ;

  cfg = config.services.spfmilter;

  # A value as the INI file has it. A line break begins a further line of the same value.
  value =
    it:
    if builtins.isBool it then
      (if it then "yes" else "no")
    else if builtins.isList it then
      builtins.concatStringsSep ", " (map value it)
    else
      builtins.replaceStrings [ "\n" ] [ "\n    " ] (toString it);
  section =
    name: keys:
    builtins.concatStringsSep "" (
      [ "[${name}]\n" ] ++ map (key: "${key} = ${value keys.${key}}\n") (builtins.attrNames keys)
    );
  text = builtins.concatStringsSep "\n" (
    map (name: section name settings.${name}) (builtins.attrNames settings)
  );

  # The socket that systemd holds has its address in its unit.
  settings =
    cfg.settings
    // lib.optionalAttrs cfg.socketActivation {
      milter = (cfg.settings.milter or { }) // {
        socket = "systemd";
      };
    };

  # With the packages of the extras that the settings use.
  package = cfg.package.overridePythonAttrs (old: {
    dependencies =
      old.dependencies ++ builtins.concatMap (extra: old.optional-dependencies.${extra}) extras;
  });
  extras =
    optional cfg.web.enable "web"
    ++ optional cfg.redis "redis"
    ++ optional cfg.postgresql "postgresql";

  # A mistake in the settings fails the build, not the mail server.
  checked = pkgs.runCommand "spfmilter.ini" { inherit text; passAsFile = [ "text" ]; } ''
    cp "$textPath" spfmilter.ini
    ${package}/bin/spfmilter config check -c spfmilter.ini
    cp spfmilter.ini $out
  '';
  file = if cfg.checkSettings then checked else pkgs.writeText "spfmilter.ini" text;

  # The address to which Postfix connects.
  address =
    let
      parts = builtins.match "(inet6?):([0-9]+)@(.*)" (settings.milter.socket or "inet:8890@127.0.0.1");
    in
    if cfg.socketActivation then
      "inet:127.0.0.1:8890"
    else if parts == null then
      null
    else if builtins.elemAt parts 0 == "inet6" then
      "inet:[${builtins.elemAt parts 2}]:${builtins.elemAt parts 1}"
    else
      "inet:${builtins.elemAt parts 2}:${builtins.elemAt parts 1}";
in
{
  options.services.spfmilter = {
    enable = mkEnableOption "spfmilter, an SPF milter for Postfix and Sendmail";

    package = mkOption {
      type = types.package;
      default = pkgs.callPackage ./package.nix { };
      defaultText = lib.literalExpression "pkgs.callPackage ./package.nix { }";
      description = "The package of spfmilter.";
    };

    settings = mkOption {
      type =
        let
          atom = types.oneOf [
            types.bool
            types.int
            types.str
          ];
        in
        types.attrsOf (types.attrsOf (types.either atom (types.listOf atom)));
      default = { };
      example = lib.literalExpression ''
        {
          policy.mode = "monitor";
          "policy.mailfrom".softfail = "tag";
          exempt.networks = [ "192.0.2.0/24" "2001:db8::/32" ];
          reply.contact = "postmaster@example.net, +44 20 7946 0000";
        }
      '';
      description = ''
        The INI file: an attribute for each section, and in it one for each key, as spfmilter.ini(5) describes them.
        Booleans become yes and no, lists are joined with commas. The file is readable for every user of this host:
        what is secret belongs into `secretsFile`.
      '';
    };

    secretsFile = mkOption {
      type = types.nullOr types.str;
      default = null;
      example = "/run/secrets/spfmilter.ini";
      description = ''
        The path of an INI file with further settings, such as an `url` with a password in `[state]` or `[journal]`.
        It is read after `settings`, and never copied into the store. The user spfmilter must be able to read it; with
        `web.enable`, the user spfmilter-web as well.
      '';
    };

    checkSettings = mkOption {
      type = types.bool;
      default = true;
      description = ''
        Whether the settings are checked while the system is built. Turn it off if they name files of the host
        (`file:`), which the build cannot see.
      '';
    };

    socketActivation = mkOption {
      type = types.bool;
      default = false;
      description = ''
        Whether systemd holds the socket, at 127.0.0.1:8890, so that no connection is refused while the daemon restarts.
        For another address, set `systemd.sockets.spfmilter.listenStreams`.
      '';
    };

    attachPostfix = mkOption {
      type = types.bool;
      default = false;
      description = ''
        Whether this host's Postfix (`services.postfix`) asks spfmilter. Begin with `settings.policy.mode = "monitor"`.
        Only with an inet socket.
      '';
    };

    web.enable = mkEnableOption "the help page for refused senders, as a service of its own";

    requests.enable = mkEnableOption "the daily digest of what refused senders ask on the help page";

    redis = mkOption {
      type = types.bool;
      default = false;
      description = "Whether to install what Redis or Valkey needs, for `settings.state.url`.";
    };

    postgresql = mkOption {
      type = types.bool;
      default = false;
      description = "Whether to install what PostgreSQL needs, for `settings.journal.url`.";
    };
  };

  config = mkIf cfg.enable {
    assertions = [
      {
        assertion = !cfg.attachPostfix || address != null;
        message = "services.spfmilter.attachPostfix needs an inet socket: set settings.milter.socket to inet:PORT@ADDRESS, or attach Postfix by services.postfix.settings.";
      }
    ];

    environment.systemPackages = [ package ];
    environment.etc."spfmilter/spfmilter.ini".source = file;

    # As sysusers.d/spfmilter.conf of the other systems.
    users.users.spfmilter = {
      isSystemUser = true;
      group = "spfmilter";
      extraGroups = [ "spfmilter-web" ];
      home = "/var/lib/spfmilter";
    };
    users.users.spfmilter-web = {
      isSystemUser = true;
      group = "spfmilter-web";
    };
    users.groups.spfmilter = { };
    users.groups.spfmilter-web = { };

    systemd.packages = [ package ];
    systemd.tmpfiles.packages = [ package ];
    systemd.tmpfiles.rules = optionals (cfg.secretsFile != null) [
      "d /etc/spfmilter/conf.d 0755 root root -"
      "L+ /etc/spfmilter/conf.d/90-secrets.ini - - - - ${cfg.secretsFile}"
    ];

    systemd.services.spfmilter = {
      wantedBy = [ "multi-user.target" ];
      reloadTriggers = [ file ];
      # [milter] is read at the start alone.
      restartTriggers = [
        package
        (builtins.toJSON (settings.milter or { }))
      ];
    };
    systemd.sockets.spfmilter = mkIf cfg.socketActivation { wantedBy = [ "sockets.target" ]; };
    systemd.services.spfmilter-web = mkIf cfg.web.enable {
      wantedBy = [ "multi-user.target" ];
      restartTriggers = [
        package
        file
      ];
    };
    systemd.timers.spfmilter-requests = mkIf cfg.requests.enable { wantedBy = [ "timers.target" ]; };

    services.postfix.settings.main = mkIf cfg.attachPostfix { smtpd_milters = [ address ]; };
  };
}
