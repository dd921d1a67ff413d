#!/usr/bin/env bash
# Does what infra/graph/main.bicep does, for people without the Graph extension: grants the app's
# identity its roles, and with --api makes the API's application registration. Needs the Azure CLI,
# Privileged Role Administrator, and for --api Application Administrator; twice does nothing more.
#   infra/graph/grant.sh IDENTITY_PRINCIPAL_ID [--indicators] [--no-hunting] [--api]
# A caller gets a role of the API as the last lines say.
set -euo pipefail

identity=${1:?"give the principal id of the app's identity: output IDENTITY_PRINCIPAL_ID of infra/main.bicep"}
shift
indicators=false
hunting=true
api=false
for option in "$@"; do
    case $option in
        --indicators) indicators=true ;;
        --no-hunting) hunting=false ;;
        --api) api=true ;;
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

# The API's application registration and its service principal.
register() { # unique name
    local application="$graph/applications(uniqueName='$1')" client="" roles="" role
    client=$(az rest --url "$application" --query appId --output tsv 2>/dev/null || true)
    if [ -z "$client" ]; then
        for role in Hashes.Read Devices.Read Indicators.Write Reports.Read Reports.Run; do
            roles+=",{\"id\":\"$(uuid)\",\"value\":\"$role\",\"displayName\":\"$role\",\"description\":\"$role\",\"isEnabled\":true,\"allowedMemberTypes\":[\"Application\",\"User\"]}"
        done
        scope=$(uuid)
        az rest --method patch --url "$application" --output none \
            --headers 'Content-Type=application/json' 'Prefer=create-if-missing' \
            --body "{\"displayName\":\"$1\",\"signInAudience\":\"AzureADMyOrg\",\"appRoles\":[${roles#,}],\"api\":{\"requestedAccessTokenVersion\":2,\"oauth2PermissionScopes\":[{\"id\":\"$scope\",\"value\":\"access_as_user\",\"type\":\"User\",\"isEnabled\":true,\"adminConsentDisplayName\":\"Call Defender Functions\",\"adminConsentDescription\":\"Calls Defender Functions as the signed-in person, within the roles of that person.\"}]}}"
        client=$(az rest --url "$application" --query appId --output tsv)
        # The Azure CLI, so that people can call the API with their own sign-in.
        az rest --method patch --url "$application" --output none --headers 'Content-Type=application/json' \
            --body "{\"identifierUris\":[\"api://$client\"],\"api\":{\"preAuthorizedApplications\":[{\"appId\":\"04b07795-8ddb-461a-bbee-02f9e1bf7b46\",\"delegatedPermissionIds\":[\"$scope\"]}]}}"
        az rest --method post --url "$graph/servicePrincipals" --output none --headers 'Content-Type=application/json' \
            --body "{\"appId\":\"$client\",\"appRoleAssignmentRequired\":true}"
        echo "the application $1 is registered"
    else
        echo "the application $1 is registered already"
    fi
    echo "API_CLIENT_ID=$client"
    echo "API_AUDIENCE=api://$client"
    echo "a caller gets a role with: az rest --method post --url $graph/servicePrincipals/CALLER/appRoleAssignments --headers Content-Type=application/json --body '{\"principalId\":\"CALLER\",\"resourceId\":\"'\$(az ad sp show --id $client --query id -o tsv)'\",\"appRoleId\":\"'\$(az ad sp show --id $client --query \"appRoles[?value=='Hashes.Read'].id | [0]\" -o tsv)'\"}'"
}

uuid() { python3 -c 'import uuid; print(uuid.uuid4())' 2>/dev/null || cat /proc/sys/kernel/random/uuid; }

if $api; then register defender-functions; fi
