#Requires -Version 5.1
<#
.SYNOPSIS
Collects the input of "golden-image assess" into one JSON file, and changes nothing else.
.DESCRIPTION
Run it elevated, preferably as SYSTEM, on a golden image before you seal it or on a pooled desktop
after its first start. A value that cannot be read is written as "N/A: ..." and never left out, so
that hidden data does not look absent. Identifiers of the sensor are written as present or absent,
never with their values. Storage keys of Cloud Cache are not written either.
.PARAMETER OutFile
The file to write. An existing file is replaced.
.PARAMETER Role
Golden for an image before it is sealed, Pooled for a virtual desktop.
.EXAMPLE
.\collect-evidence.ps1 -Role Golden -OutFile C:\Temp\evidence.json
#>
[CmdletBinding()]
param(
    [string] $OutFile = ".\evidence-$env:COMPUTERNAME.json",
    [ValidateSet('Golden', 'Pooled')]
    [string] $Role = 'Golden'
)

$ErrorActionPreference = 'Stop'
if ([Environment]::Is64BitOperatingSystem -and -not [Environment]::Is64BitProcess) {
    throw 'Run this script in 64-bit Windows PowerShell. The 32-bit version reads a different registry.'
}

function Read-Part {
    param(
        [Collections.IDictionary] $To,
        [string] $Name,
        [scriptblock] $Read,
        [switch] $List
    )
    try {
        $value = & $Read
        if ($List) { $value = @($value | Where-Object { $null -ne $_ }) }
    } catch {
        $value = 'N/A: ' + $_.Exception.Message
    }
    $To[$Name] = $value
}

function ConvertTo-Plain {
    param($Value)
    if ($null -eq $Value) { return $null }
    if ($Value -is [datetime]) { return $Value.ToUniversalTime().ToString('o') }
    if ($Value -is [timespan]) { return $Value.ToString() }
    if ($Value -is [string] -or $Value -is [bool] -or $Value -is [enum]) { return $Value }
    if ($Value -is [ValueType]) { return $Value }
    return [string] $Value
}

# All properties of an object of the Defender module, without those that CIM adds.
function ConvertTo-Table {
    param($Object)
    $table = [ordered] @{}
    foreach ($property in $Object.PSObject.Properties) {
        if ($property.Name -like 'Cim*' -or $property.Name -like 'PS*') { continue }
        if ($property.Value -is [array]) {
            $table[$property.Name] = @($property.Value | ForEach-Object { ConvertTo-Plain $_ })
        } else {
            $table[$property.Name] = ConvertTo-Plain $property.Value
        }
    }
    return $table
}

# A key as a table of its values; null when the key does not exist.
function Read-Key {
    param([string] $Path, [string[]] $Values, [switch] $Presence)
    try {
        $key = Get-Item -LiteralPath ($Path -replace '^HKLM\\', 'HKLM:\')
    } catch [System.Management.Automation.ItemNotFoundException] {
        return $null
    }
    $table = [ordered] @{}
    foreach ($name in $key.GetValueNames()) {
        if ($Values -and $Values -notcontains $name) { continue }
        $value = $true
        if (-not $Presence) {
            $value = $key.GetValue($name)
            if ($value -is [array]) { $value = @($value | ForEach-Object { Hide-Key $_ }) }
            else { $value = Hide-Key $value }
        }
        $table[$name] = $value
    }
    return $table
}

# Removes the storage key of a Cloud Cache location in Azure and keeps only its type.
function Hide-Key {
    param($Value)
    if ($Value -isnot [string] -or $Value -notmatch 'AccountKey|SharedAccess|type=azure') { return $Value }
    $shares = [regex]::Matches($Value, 'connectionString="?(\\\\[^;"]+)', 'IgnoreCase')
    return (@($shares | ForEach-Object { 'type=smb,connectionString=' + $_.Groups[1].Value }) + 'type=azure') -join ';'
}

function Read-LastEvent {
    param([string] $Log, [string] $Filter)
    try {
        $last = Get-WinEvent -LogName $Log -FilterXPath $Filter -MaxEvents 1
    } catch {
        if ($_.FullyQualifiedErrorId -like 'NoMatchingEventsFound*') { return $null }
        throw
    }
    if ($null -eq $last) { return $null }
    return $last.TimeCreated.ToUniversalTime().ToString('o')
}

function Read-File {
    param([string] $Path)
    try {
        $null = Get-Item -LiteralPath $Path -Force
    } catch [System.Management.Automation.ItemNotFoundException] {
        return $null
    }
    # Get-Content adds properties to the text, and Windows PowerShell writes them into the JSON.
    return [IO.File]::ReadAllText($Path)
}

$sensor = 'HKLM\SOFTWARE\Microsoft\Windows Advanced Threat Protection'
$policy = 'HKLM\SOFTWARE\Policies\Microsoft\Windows Advanced Threat Protection'
$updates = 'HKLM\SOFTWARE\Policies\Microsoft\Windows Defender\Signature Updates'
$scripts = "$env:windir\System32\GroupPolicy\Machine\Scripts"
$principal = New-Object Security.Principal.WindowsPrincipal ([Security.Principal.WindowsIdentity]::GetCurrent())
$elevated = $principal.IsInRole([Security.Principal.WindowsBuiltInRole]::Administrator)

$evidence = [ordered] @{
    schemaVersion = 1
    role          = $Role.ToLowerInvariant()
    collectedAt   = [datetime]::UtcNow.ToString('o')
    elevated      = $elevated
    host          = [ordered] @{
        name          = $env:COMPUTERNAME
        isGoldenImage = $Role -eq 'Golden'
        temp          = [Environment]::GetEnvironmentVariable('TEMP', 'Machine')
        windir        = $env:windir
        programData   = $env:ProgramData
    }
}

$evidence['os'] = [ordered] @{}
$evidence['events'] = [ordered] @{}
try {
    $system = Get-CimInstance -ClassName Win32_OperatingSystem
    foreach ($name in 'Caption', 'Version', 'BuildNumber', 'ProductType', 'OSArchitecture') {
        $evidence['os'][$name] = ConvertTo-Plain $system.$name
    }
    $evidence['events']['boot'] = ConvertTo-Plain $system.LastBootUpTime
} catch {
    $evidence['os'] = 'N/A: ' + $_.Exception.Message
    $evidence['events']['boot'] = 'N/A: ' + $_.Exception.Message
}
Read-Part $evidence['events'] 'onboarding' { Read-LastEvent 'Application' "*[System[Provider[@Name='WDATPOnboarding']]]" }
Read-Part $evidence['events'] 'rename' { Read-LastEvent 'System' "*[System[Provider[@Name='EventLog'] and EventID=6011]]" }

Read-Part $evidence 'svc' -List {
    $filter = "Name='Sense' OR Name='WinDefend' OR Name='frxsvc' OR Name='frxccds'"
    foreach ($service in @(Get-CimInstance -ClassName Win32_Service -Filter $filter)) {
        [ordered] @{ Name = $service.Name; State = $service.State; StartMode = $service.StartMode }
    }
}

$evidence['reg'] = [ordered] @{}
foreach ($path in $sensor, "$sensor\48A68F11-7A16-4180-B32C-7F974C7BD783", $policy) {
    Read-Part $evidence['reg'] $path { Read-Key $path -Presence }
}
Read-Part $evidence['reg'] "$sensor\Status" { Read-Key "$sensor\Status" -Values 'OnboardingState' }
Read-Part $evidence['reg'] "$policy\DeviceTagging" { Read-Key "$policy\DeviceTagging" }
Read-Part $evidence['reg'] 'HKLM\SOFTWARE\FSLogix\Profiles' {
    Read-Key 'HKLM\SOFTWARE\FSLogix\Profiles' -Values 'Enabled', 'VHDLocations', 'CCDLocations'
}
Read-Part $evidence['reg'] $updates { Read-Key $updates -Values 'SharedSignatureRoot' }
foreach ($root in 'HKLM\SOFTWARE\Policies\Microsoft\Windows Defender', 'HKLM\SOFTWARE\Microsoft\Windows Defender') {
    foreach ($kind in 'Paths', 'Extensions', 'Processes') {
        $path = "$root\Exclusions\$kind"
        Read-Part $evidence['reg'] $path { Read-Key $path -Presence }
    }
}

Read-Part $evidence 'mpStatus' { ConvertTo-Table (Get-MpComputerStatus) }
Read-Part $evidence 'mpPref' { ConvertTo-Table (Get-MpPreference) }

$evidence['fs'] = [ordered] @{}
Read-Part $evidence['fs'] 'startup' -List {
    try {
        @(Get-ChildItem -LiteralPath "$scripts\Startup" -Force -File) | ForEach-Object { $_.Name }
    } catch [System.Management.Automation.ItemNotFoundException] { $null }
}
Read-Part $evidence['fs'] 'cyberFileCount' {
    if (-not $elevated) { throw 'run the collector elevated to read the cache of the sensor' }
    try {
        $inside = @(Get-ChildItem -LiteralPath "$env:ProgramData\Microsoft\Windows Defender Advanced Threat Protection" -Force)
        if (@($inside | Where-Object { $_.Name -eq 'Cyber' }).Count -eq 0) { return 0 }
        $cyber = "$env:ProgramData\Microsoft\Windows Defender Advanced Threat Protection\Cyber"
        @(Get-ChildItem -LiteralPath $cyber -Force -File -Recurse).Count
    } catch [System.Management.Automation.ItemNotFoundException] { 0 }
}
Read-Part $evidence['fs'] 'share' {
    $path = ''
    if ($evidence['mpPref'] -is [Collections.IDictionary]) { $path = [string] $evidence['mpPref']['SharedSignaturesPath'] }
    $byPolicy = $evidence['reg'][$updates]
    if (-not $path -and $byPolicy -is [Collections.IDictionary]) { $path = [string] $byPolicy['SharedSignatureRoot'] }
    if (-not $path) { return $null }
    $share = [ordered] @{ path = $path }
    Read-Part $share 'dirs' -List {
        foreach ($folder in @(Get-ChildItem -LiteralPath $path -Directory -Force)) {
            [ordered] @{ name = $folder.Name; lastWriteTime = $folder.LastWriteTimeUtc.ToString('o') }
        }
    }
    $share
}
Read-Part $evidence['fs'] 'localDrives' -List {
    @(Get-CimInstance -ClassName Win32_LogicalDisk -Filter 'DriveType=2 OR DriveType=3') | ForEach-Object { $_.DeviceID }
}

$evidence['gp'] = [ordered] @{}
Read-Part $evidence['gp'] 'psscripts' { Read-File "$scripts\psscripts.ini" }
Read-Part $evidence['gp'] 'scripts' { Read-File "$scripts\scripts.ini" }
Read-Part $evidence['gp'] 'gpt' { Read-File "$env:windir\System32\GroupPolicy\gpt.ini" }

Read-Part $evidence['gp'] 'tasks' -List {
    foreach ($task in @(Get-ScheduledTask)) {
        $runs = @($task.Actions | ForEach-Object { "$($_.Execute) $($_.Arguments)" }) -join ' '
        if ($runs -match 'Onboard-NonPersistentMachine|WindowsDefenderATPOnboardingScript') { "$($task.TaskPath)$($task.TaskName)" }
    }
}

Read-Part $evidence 'task' {
    $task = Get-ScheduledTaskInfo -TaskPath '\Microsoft\Windows\Windows Defender\' -TaskName 'Windows Defender Cache Maintenance'
    [ordered] @{ LastRunTime = (ConvertTo-Plain $task.LastRunTime); LastTaskResult = $task.LastTaskResult }
}
Read-Part $evidence 'policy' -List {
    foreach ($scope in @(Get-ExecutionPolicy -List)) {
        [ordered] @{ Scope = [string] $scope.Scope; ExecutionPolicy = [string] $scope.ExecutionPolicy }
    }
}

$json = ConvertTo-Json -InputObject $evidence -Depth 5
$path = $ExecutionContext.SessionState.Path.GetUnresolvedProviderPathFromPSPath($OutFile)
[IO.File]::WriteAllText($path, $json, (New-Object Text.UTF8Encoding $false))
if (-not $elevated) { Write-Warning 'The collector did not run elevated, so exclusions and the cache of the sensor could not be read.' }
Write-Output "Evidence was written to $path"
