#!/usr/bin/env bash
# Grants the app's identity what infra/graph/main.bicep grants, for people without the Graph
# extension. Needs the Azure CLI and Privileged Role Administrator; granting twice does nothing.
#   infra/graph/grant.sh IDENTITY_PRINCIPAL_ID [--indicators] [--no-hunting]
set -euo pipefail

identity=${1:?"give the principal id of the app's identity: output IDENTITY_PRINCIPAL_ID of infra/main.bicep"}
shift
indicators=false
hunting=true
for option in "$@"; do
    case $option in
        --indicators) indicators=true ;;
        --no-hunting) hunting=false ;;
        *) echo "unknown option $option" >&2; exit 2 ;;
    esac
done

graph=$(az cloud show --query endpoints.microsoftGraphResourceId --output tsv)
graph=${graph%/}/v1.0

grant() { # application id, role
    local resource role held
    resource=$(az rest --url "$graph/servicePrincipals?\$filter=appId eq '$1'" --query 'value[0].id' --output tsv)
    role=$(az rest --url "$graph/servicePrincipals/$resource" --query "appRoles[?value=='$2' && contains(allowedMemberTypes, 'Application')].id | [0]" --output tsv)
    if [ -z "$resource" ] || [ -z "$role" ]; then
        echo "$2 was not found; is the service part of this tenant?" >&2
        return 1
    fi
    held=$(az rest --url "$graph/servicePrincipals/$identity/appRoleAssignments" --query "value[?appRoleId=='$role'] | length(@)" --output tsv)
    if [ "$held" -gt 0 ]; then
        echo "$2 is granted already"
        return
    fi
    az rest --method post --url "$graph/servicePrincipals/$identity/appRoleAssignments" --output none \
        --headers 'Content-Type=application/json' \
        --body "{\"principalId\":\"$identity\",\"resourceId\":\"$resource\",\"appRoleId\":\"$role\"}"
    echo "$2 is granted"
}

defender=fc780465-2017-40d4-a0c5-307022471b92
microsoft_graph=00000003-0000-0000-c000-000000000000
grant "$defender" File.Read.All
grant "$defender" Alert.Read.All
grant "$defender" Machine.Read.All
if $indicators; then grant "$defender" Ti.ReadWrite.All; fi
if $hunting; then grant "$microsoft_graph" ThreatHunting.Read.All; fi
